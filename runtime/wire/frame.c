#include "frame.h"

#include <string.h>

static const unsigned char magic[8] = {'A', 'M', 'E', '-', 'W', 'I', 'R', 'E'};

void ame__hello_encode(unsigned char bytes[AME__HELLO_SIZE], const struct ame__hello *hello)
{
    memcpy(bytes, magic, sizeof magic);
    ame__put32(bytes + 8, hello->version);
    ame__put32(bytes + 12, hello->size);
    ame__put32(bytes + 16, hello->from);
    ame__put32(bytes + 20, hello->to);
    ame__put32(bytes + 24, hello->window);
    ame__put32(bytes + 28, hello->encrypt);
    memcpy(bytes + 32, hello->nonce, AME__NONCE_SIZE);
}

bool ame__hello_decode(const unsigned char bytes[AME__HELLO_SIZE], struct ame__hello *hello)
{
    if (memcmp(bytes, magic, sizeof magic)) return false;
    hello->version = ame__get32(bytes + 8);
    hello->size = ame__get32(bytes + 12);
    hello->from = ame__get32(bytes + 16);
    hello->to = ame__get32(bytes + 20);
    hello->window = ame__get32(bytes + 24);
    hello->encrypt = ame__get32(bytes + 28);
    memcpy(hello->nonce, bytes + 32, AME__NONCE_SIZE);
    return true;
}

void ame__answer_encode(unsigned char bytes[AME__ANSWER_SIZE], const struct ame__answer *answer)
{
    memcpy(bytes, magic, sizeof magic);
    ame__put32(bytes + 8, answer->version);
    ame__put32(bytes + 12, answer->refusal);
    ame__put32(bytes + 16, answer->window);
    ame__put32(bytes + 20, answer->encrypt);
    memcpy(bytes + 24, answer->nonce, AME__NONCE_SIZE);
    memcpy(bytes + 24 + AME__NONCE_SIZE, answer->proof, AME__PROOF_SIZE);
}

bool ame__answer_decode(const unsigned char bytes[AME__ANSWER_SIZE], struct ame__answer *answer)
{
    if (memcmp(bytes, magic, sizeof magic)) return false;
    answer->version = ame__get32(bytes + 8);
    answer->refusal = ame__get32(bytes + 12);
    answer->window = ame__get32(bytes + 16);
    answer->encrypt = ame__get32(bytes + 20);
    memcpy(answer->nonce, bytes + 24, AME__NONCE_SIZE);
    memcpy(answer->proof, bytes + 24 + AME__NONCE_SIZE, AME__PROOF_SIZE);
    return true;
}

const char *ame__refusal_text(uint32_t refusal)
{
    switch (refusal) {
    case AME__REFUSE_NONE: return "not refused";
    case AME__REFUSE_VERSION: return "it speaks another version of the protocol";
    case AME__REFUSE_RANK: return "it is another rank, or a job of another size";
    case AME__REFUSE_ENCRYPT: return "AME_ENCRYPT has another value there; it must be the same in all ranks";
    case AME__REFUSE_BUSY: return "it has that connection already";
    default: return "for a reason unknown here";
    }
}

void ame__header_encode(unsigned char bytes[AME__HEADER_SIZE], const struct ame__header *header)
{
    bytes[0] = header->kind;
    bytes[1] = AME__PROTOCOL_VERSION;
    bytes[2] = bytes[3] = 0;
    ame__put32(bytes + 4, (uint32_t) header->tag);
    ame__put64(bytes + 8, header->context);
    ame__put32(bytes + 16, (uint32_t) header->src);
    ame__put32(bytes + 20, (uint32_t) header->dst);
    ame__put64(bytes + 24, header->length);
    ame__put64(bytes + 32, header->id);
    ame__put64(bytes + 40, header->other);
}

static size_t payload_limit(uint8_t kind)
{
    switch (kind) {
#define LIMIT(name, most, text)                                                                                        \
    case AME__FRAME_##name: return most;
        AME__FRAMES(LIMIT)
#undef LIMIT
    default: return 0;
    }
}

const char *ame__frame_name(uint8_t kind)
{
    switch (kind) {
#define NAME(name, most, text)                                                                                         \
    case AME__FRAME_##name: return #name;
        AME__FRAMES(NAME)
#undef NAME
    default: return "unknown";
    }
}

static bool length_is_payload(uint8_t kind)
{
    return kind != AME__FRAME_RTS && kind != AME__FRAME_CTS && kind != AME__FRAME_CREDIT;
}

size_t ame__header_payload(const struct ame__header *header)
{
    return length_is_payload(header->kind) ? (size_t) header->length : 0;
}

const char *ame__header_decode(const unsigned char bytes[AME__HEADER_SIZE], int size, struct ame__header *header)
{
    header->kind = bytes[0];
    header->version = bytes[1];
    header->tag = (int32_t) ame__get32(bytes + 4);
    header->context = ame__get64(bytes + 8);
    header->src = (int32_t) ame__get32(bytes + 16);
    header->dst = (int32_t) ame__get32(bytes + 20);
    header->length = ame__get64(bytes + 24);
    header->id = ame__get64(bytes + 32);
    header->other = ame__get64(bytes + 40);
    if (header->version != AME__PROTOCOL_VERSION || bytes[2] || bytes[3]) return "bad version or padding";
    if (header->kind == AME__FRAME_NONE || header->kind >= AME__FRAME_COUNT) return "unknown kind";
    if (header->src < 0 || header->src >= size) return "source rank out of range";
    if (header->dst < 0 || header->dst >= size) return "destination rank out of range";
    if (header->tag < 0) return "negative tag";
    if (length_is_payload(header->kind) ? header->length > payload_limit(header->kind) : header->length > INT64_MAX)
        return "length over the limit";
    return NULL;
}
