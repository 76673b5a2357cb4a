/* ways.h - the ways of being started, one file each. Only boot.c includes this. */
#ifndef AME_BOOT_WAYS_H
#define AME_BOOT_WAYS_H

#include "boot.h"

extern const struct ame__boot_way ame__boot_pmi1;   /* pmi1.c */
extern const struct ame__boot_way ame__boot_single; /* single.c */

#endif
