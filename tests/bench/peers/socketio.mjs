// Socket.IO as its users have it: an event that is sent back, and one for everybody; the argument is the port
import { createServer } from 'node:http';

import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http);

io.on('connection', (socket) => {
	socket.on('echo', (text) => socket.emit('echo', text));
	socket.on('message', (text) => io.emit('message', text));
});
http.listen(Number(process.argv[2]), '127.0.0.1', 4096);
