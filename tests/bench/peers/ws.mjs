// ws as its users have it: an echo, and a chat that gives each message to each client in turn; the argument is the port
import { WebSocket, WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });

function echo(data, isBinary) {
	this.send(data, { binary: isBinary });
}

function toEverybody(data, isBinary) {
	for (const client of server.clients) {
		if (client.readyState === WebSocket.OPEN)
			client.send(data, { binary: isBinary });
	}
}

server.on('connection', (client, request) => {
	client.on('error', console.error);
	client.on('message', request.url === '/echo' ? echo : toEverybody);
});
