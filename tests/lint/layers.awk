# Reads layers.txt, then source files: every #include against the table. Prints each breach; exit status 1 if there is one.
function folder_of(path) {
	sub(/\/[^\/]*$/, "", path)
	return path
}
FNR == 1 { file_number++ }
file_number == 1 {
	if ($0 ~ /^#/ || $0 ~ /^$/)
		next
	split($0, side, "|")
	colon = index(side[1], ":")
	name = substr(side[1], 1, colon - 1)
	known[name] = 1
	is_file[name] = name ~ /\.[ch]$/
	count = split(substr(side[1], colon + 1), word, " ")
	for (i = 1; i <= count; i++)
		may[name, word[i]] = 1
	count = split(side[2], word, " ")
	for (i = 1; i <= count; i++) {
		may_foreign[name, word[i]] = 1
		foreign[word[i]] = 1
	}
	next
}
FNR == 1 {
	folder = folder_of(FILENAME)
	rule = (FILENAME in known) ? FILENAME : folder
	if (!(rule in known)) {
		print FILENAME ": folder is not in layers.txt"
		bad = 1
	}
	for (name in is_file)
		if (is_file[name] && folder_of(name) == folder)
			exclusive[folder] = 1
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, part, "\"")
	to = folder_of(part[2])
	if (part[2] == "suites.tbl")
		next
	if (to != folder && !((rule, to) in may)) {
		print FILENAME ":" FNR ": " folder " may not include " part[2]
		bad = 1
	}
}
/^[ \t]*#[ \t]*include[ \t]*</ {
	name = $0
	sub(/^[^<]*</, "", name)
	sub(/>.*$/, "", name)
	sub(/[\/.].*$/, "", name)
	if (!(name in foreign))
		next
	allowed = ((rule, name) in may_foreign)
	# A folder whose foreign headers are bound to single files.
	if (allowed && exclusive[folder] && !(FILENAME in known))
		allowed = 0
	if (!allowed) {
		print FILENAME ":" FNR ": <" name "> is not allowed here"
		bad = 1
	}
}
END { exit bad }
