/* command.h - what to type to see an incident's packets: the tshark command for its display filter */
#ifndef WHY502_COMMAND_H
#define WHY502_COMMAND_H

#include "writer.h"

enum { COMMAND_TEXT = 4096 };

/* False where there is none: no file, or one whose name a shell or a terminal would act on. */
bool tshark_command(const struct run_info *run, const struct incident *i, char text[static COMMAND_TEXT]);

#endif
