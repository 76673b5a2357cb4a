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

/* May this process be a job of one rank? `why` says why or why not. */
static bool may_be_alone(bool override, char why[AME__BOOT_WHY_MAX])
{
    char several[AME__BOOT_WHY_MAX];
    if (!ame__boot_several(several))
        snprintf(why, AME__BOOT_WHY_MAX, "no variable of a launcher says that there are other ranks");
    else if (override)
        snprintf(why, AME__BOOT_WHY_MAX, "AME_ALLOW_SINGLETON=1 overrides %.100s", several);
    else if (ame__boot_inside_rank())
        snprintf(why, AME__BOOT_WHY_MAX, "this is a subprocess of a rank, %.100s is not for it", several);
    else {
        snprintf(why, AME__BOOT_WHY_MAX, "%.100s says that there are other ranks: ame_init will refuse", several);
        return false;
    }
    return true;
}

static bool probe(char why[AME__BOOT_WHY_MAX])
{
    bool override = false;
    (void) ame__var_flag(AME__VAR_ALLOW_SINGLETON, &override);
    (void) may_be_alone(override, why);
    return true; /* the last way: open words the refusal */
}

static int open_single(struct ame__boot *boot)
{
    char several[AME__BOOT_WHY_MAX];
    bool override;
    int code = ame__var_flag(AME__VAR_ALLOW_SINGLETON, &override);
    if (code || may_be_alone(override, boot->why)) return code;
    (void) ame__boot_several(several);
    return ame__fail(
        AME_E_BOOT,
        "%s says that this process is one of several ranks, but no way to find the others applies (ame-info says why; "
        "PMI_FD is not an open socket). Start the program with 'ameexec -np N ./app'; if a wrapper closes "
        "inherited descriptors (Python's subprocess: close_fds=False), keep PMI_FD open; AME_SHARED_DIR with "
        "AME_JOB_TOKEN works with any launcher. To run it as a job of one rank all the same, set AME_ALLOW_SINGLETON=1",
        several);
}

const struct ame__boot_way ame__boot_single = {
    .name = "single", .text = "started by itself: one rank, no network", .probe = probe, .open = open_single};
