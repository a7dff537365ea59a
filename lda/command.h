/* lda -d ADDRESS: one message from standard input, for scripts and transports without LMTP. */
#ifndef LDA_COMMAND_H
#define LDA_COMMAND_H

struct service_spec;

/* Returns a code of sysexits.h. */
int lda_command(int argc, char **argv, const struct service_spec *spec);

#endif
