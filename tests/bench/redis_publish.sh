#!/bin/sh
# redis_publish.sh [COUNT [DATA_BYTES [ROUNDS]]]: what a publication costs Redis with the script, sent by redis-benchmark -P 32.
# Prints processor time (user and system, from /proc) per publication, beside a script that does nothing with the same arguments.
# A redis-server of its own, which ends with it.
set -eu
cd "$(dirname "$0")/../.."

count=${1:-200000}
bytes=${2:-128}
rounds=${3:-3}
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT

redis-server --unixsocket "$folder/s" --port 0 --save '' --appendonly no --dir "$folder" >"$folder/log" 2>&1 &
server=$!
cli() { redis-cli -s "$folder/s" "$@"; }
until cli ping >/dev/null 2>&1; do kill -0 "$server" && sleep 0.05; done

# The text is that of redis_scripts.c: parts in front, then its own.
parts=$(sed -n 's/^#define PARTS_publish//p' broker/redis/redis_scripts.c | sed 's/PART("\([a-z_]*\)")/\1/g')
for part in $parts publish; do cat "broker/redis/lua/$part.lua"; done >"$folder/publish.lua"
sha=$(cli -x script load <"$folder/publish.lua")
nothing=$(cli script load 'return {0, KEYS[1], 1}')
cli hset b:g t G1 >/dev/null

ticks() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }
hertz=$(getconf CLK_TCK)

# measure NAME COMMAND..: one line of figures.
measure() {
	name=$1
	shift
	before=$(ticks)
	began=$(date +%s%N)
	redis-benchmark -s "$folder/s" -P 32 -c 8 -n "$count" -r 1000000000 -q "$@" >"$folder/out" 2>&1
	ended=$(date +%s%N)
	awk -v name="$name" -v ticks="$(($(ticks) - before))" -v hertz="$hertz" -v n="$count" -v ns="$((ended - began))" \
		'BEGIN { printf "%-20s %6.2f us of Redis each  %8.0f per second\n", name, ticks / hertz / n * 1e6, n / ns * 1e9 }'
}

data=$(head -c "$bytes" /dev/zero | tr '\0' x)
# room NAME HISTORY_COUNT KEY: one publication is one call; redis-benchmark puts twelve digits for __rand_int__.
room() {
	measure "$1" evalsha "$sha" 5 b:g b:m:room b:s:room "b:i:room:$3" b:n G1 epoch-01 room "$3" 1 "$data" 1 "$2" 1048576 600000 300000 b:c:room
}
for round in $(seq "$rounds"); do
	room 'publish, 100 kept' 100 key-__rand_int__
	room 'publish, 1000 kept' 1000 key-__rand_int__
	room 'publish, none kept' 0 key-__rand_int__
	measure 'nothing but a call' evalsha "$nothing" 5 b:g b:m:room b:s:room b:i:room:key-__rand_int__ b:n G1 epoch-01 room key-__rand_int__ 1 \
		"$data" 1 100 1048576 600000 300000 b:c:room
done | sort
