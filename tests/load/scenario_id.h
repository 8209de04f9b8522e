/*
 * scenario_id - the scenarios, as bits of a set
 */
#ifndef TESTS_LOAD_SCENARIO_ID_H
#define TESTS_LOAD_SCENARIO_ID_H

enum scenario_set {
	NONE = 0,
	ECHO = 1,
	BROADCAST = 2,
	CHAT = 4,
	IDLE = 8,
	CONNECT_ONLY = 16,
	RECONNECT = 32,
	CHATS = CHAT | RECONNECT,
	ALL = 63,
};

#endif
