/* single.c - a process that was started by itself: a job of one rank, without any network.
 *
 * It is the last way in the table. Where the environment says that there should be more ranks it refuses: N processes
 * that all believe they are rank 0 of 1 each do the whole work, which is the failure heard of most. A subprocess of a
 * rank inherits that rank's variables and is meant to be alone.
 */
#include "ways.h"

#include <stdio.h>

#include "base/error.h"
#include "base/vars.h"

static bool probe(char why[AME__BOOT_WHY_MAX])
{
    snprintf(why, AME__BOOT_WHY_MAX, "no other way applies");
    return true;
}

static int open_single(struct ame__boot *boot)
{
    char several[AME__BOOT_WHY_MAX];
    bool allowed;
    int code = ame__var_flag(AME__VAR_ALLOW_SINGLETON, &allowed);
    if (code) return code;
    if (!ame__boot_several(several)) {
        snprintf(boot->why, sizeof boot->why, "no variable of a launcher says that there are other ranks");
        return AME_OK;
    }
    if (allowed) {
        snprintf(boot->why, sizeof boot->why, "AME_ALLOW_SINGLETON=1 overrides %.100s", several);
        return AME_OK;
    }
    if (ame__boot_inside_rank()) {
        snprintf(boot->why, sizeof boot->why, "this is a subprocess of a rank, %.100s is not for it", several);
        return AME_OK;
    }
    return ame__fail(
        AME_E_BOOT,
        "%s says that this process is one of several ranks, but no connection to their launcher was found "
        "(PMI_FD is not an open socket). Start the program with 'ameexec -np N ./app'; if a wrapper closes "
        "inherited descriptors (Python's subprocess: close_fds=False), keep PMI_FD open. To run it as a job "
        "of one rank all the same, set AME_ALLOW_SINGLETON=1",
        several);
}

const struct ame__boot_way ame__boot_single = {
    .name = "single", .text = "started by itself: one rank, no network", .probe = probe, .open = open_single};
