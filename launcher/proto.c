#include "proto.h"

static const struct {
    const char *name;
    uint32_t least, most;
} kinds[AME__FRAME_KINDS] = {{"NONE", 1, 0},
#define KIND(name, least, most, meaning) {#name, least, most},
                             AME__FRAMES(KIND)
#undef KIND
};

const char *ame__frame_name(enum ame__frame_kind kind)
{
    return kind < AME__FRAME_KINDS ? kinds[kind].name : "unknown";
}

static void u32_put(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) at[i] = (unsigned char) (value >> 8 * i);
}

static uint32_t u32_get(const unsigned char *at)
{
    return at[0] | (uint32_t) at[1] << 8 | (uint32_t) at[2] << 16 | (uint32_t) at[3] << 24;
}

void ame__frame_encode(const struct ame__frame *frame, unsigned char header[AME__FRAME_HEADER])
{
    u32_put(header, frame->length);
    header[4] = (unsigned char) frame->kind;
    header[5] = (unsigned char) frame->stream;
    header[6] = header[7] = 0;
    u32_put(header + 8, frame->rank);
}

long ame__frame_decode(const char *data, size_t length, struct ame__frame *frame)
{
    const unsigned char *header = (const unsigned char *) data;
    if (length < AME__FRAME_HEADER) return 0;
    uint32_t payload = u32_get(header);
    unsigned kind = header[4];
    if (kind == AME__FRAME_NONE || kind >= AME__FRAME_KINDS || header[5] > 2 || header[6] || header[7]) return -1;
    if (payload < kinds[kind].least || payload > kinds[kind].most) return -1;
    if (length - AME__FRAME_HEADER < payload) return 0;
    frame->kind = (enum ame__frame_kind) kind;
    frame->stream = header[5];
    frame->rank = u32_get(header + 8);
    frame->length = payload;
    frame->payload = data + AME__FRAME_HEADER;
    return AME__FRAME_HEADER + (long) payload;
}

void ame__u64_put(char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++) at[i] = (char) (unsigned char) (value >> 8 * i);
}

uint64_t ame__u64_get(const char *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= (uint64_t) (unsigned char) at[i] << 8 * i;
    return value;
}
