/* herold-load - the load generator: who sends what, how fast, and what came of it */
#include "common/base/mem.h"
#include "tests/load/coordinator.h"

const struct scenario *const scenarios[] = { &scenario_echo, &scenario_broadcast, &scenario_chat, &scenario_idle,
	&scenario_connect, &scenario_reconnect, NULL };

int main(int argc, char **argv) {
	static struct options options;

	mem_init();
	options_read(&options, argc, argv);
	return coordinate(&options);
}
