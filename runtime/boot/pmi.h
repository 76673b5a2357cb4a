/* pmi.h - the connection to a launcher that speaks PMI-1 or PMI-2: bytes out, bytes in before boot->deadline. */
#ifndef AME_BOOT_PMI_H
#define AME_BOOT_PMI_H

#include "boot.h"

/* Connects to "host:port", where the launcher of this host listens. */
int ame__pmi_connect(struct ame__boot *boot, const char *place);
int ame__pmi_send(struct ame__boot *boot, const char *bytes, size_t length);
/* Adds what arrives to boot->input, at least one byte. */
int ame__pmi_receive(struct ame__boot *boot);
/* Drops the first bytes of boot->input. */
void ame__pmi_consume(struct ame__boot *boot, size_t length);

#endif
