/* ways.h - the ways of being started, one file each. Only boot.c includes this. */
#ifndef AME_BOOT_WAYS_H
#define AME_BOOT_WAYS_H

#include "boot.h"

extern const struct ame__boot_way ame__boot_shared;  /* shared.c */
extern const struct ame__boot_way ame__boot_pmi1;    /* pmi1.c */
extern const struct ame__boot_way ame__boot_pmi2;    /* pmi2.c */
extern const struct ame__boot_way ame__boot_pmix;    /* pmix.c */
extern const struct ame__boot_way ame__boot_session; /* session.c */
extern const struct ame__boot_way ame__boot_slurm;   /* slurm.c */
extern const struct ame__boot_way ame__boot_single;  /* single.c */

#endif
