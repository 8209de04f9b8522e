# Prints the rows of the table of errors in docs/chat-protocol.md, from server/proto/chat_errors.tbl.
/^CHAT_ERROR\(/ {
	line = $0
	sub(/^CHAT_ERROR\(/, "", line); sub(/\)$/, "", line)
	code = line; sub(/,.*/, "", code)
	rest = substr(line, length(code) + 1)
	sub(/^, "/, "", rest); sub(/"$/, "", rest)
	at = index(rest, "\", \"")
	sentence = substr(rest, 1, at - 1); why = substr(rest, at + 4)
	gsub(/\\\\/, "\\", why); gsub(/\\"/, "\"", why)
	print "| `" code "` | " sentence " | " why " |"
}
