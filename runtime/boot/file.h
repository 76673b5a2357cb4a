/* file.h - the exchange of one value through a file, for the ways of being started that have no launcher to ask.
 *
 * Rank 0 writes DIRECTORY/NAME, the others wait for it. NAME must be the same in all ranks of the job and in no other
 * job; where it can be left over from an earlier one (boot->stale_values), whoever has read it finds out by
 * connecting, and reads again. Nobody else can write there: the directory must be ours and writable by us only, the
 * file ours and private, and no link is followed. The file appears whole (written beside it, synced, renamed), and rank
 * 0 removes it when all are connected, and what is a day old beside it.
 */
#ifndef AME_BOOT_FILE_H
#define AME_BOOT_FILE_H

#include "boot.h"

/* Uses the directory PARENT/ame-UID, made if need be (`own`: PARENT itself, which must be private). `name` may hold
 * letters, digits, '.', '_' and '-'. */
int ame__boot_file_open(struct ame__boot *boot, const char *parent, bool own, const char *name);
int ame__boot_file_put(struct ame__boot *boot, const char *key, const char *value);
int ame__boot_file_get(struct ame__boot *boot, const char *key, char value[AME__BOOT_VALUE_MAX]);
void ame__boot_file_connected(struct ame__boot *boot);
/* AME_OK if the directory is ours and only we can write there. */
int ame__boot_file_check_directory(const char *path);
/* Is the name made of letters, digits, '.', '_' and '-' only, does not begin with '.', and is not too long? */
bool ame__boot_file_name_is_good(const char *name);

#endif
