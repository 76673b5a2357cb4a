/* frame.h - what goes over a connection between two ranks: pure encoding and decoding, no I/O.
 *
 * A connection begins with a handshake of fixed-size messages, in which both sides prove that they know the key of the
 * job:
 *
 *     dialler  -> acceptor   HELLO    magic, protocol version, who dials whom, window granted, encryption, nonce D
 *     acceptor -> dialler    ANSWER   magic, protocol version, window granted, encryption, nonce A,
 *                                     proof(acceptor, HELLO, ANSWER)
 *     dialler  -> acceptor   CONFIRM  proof(dialler, HELLO, ANSWER)
 *
 * A proof is a keyed BLAKE2b over a role word and all bytes of both messages before it, so it is bound to the job (its
 * key), both ranks, the direction and both nonces; none can be replayed. An acceptor that cannot go on answers REFUSE,
 * whose layout never changes, so that every version can read why. Nothing else is parsed before the proof of the other
 * side has been seen.
 *
 * Where encryption is wanted (AME_ENCRYPT) the nonces are public keys of X25519, and all that follows is sealed; see
 * net/crypt.h. The proofs cover what both sides have said about it.
 *
 * After that come frames: a header of AME__HEADER_SIZE bytes, then `payload` bytes. All integers are little-endian.
 * Every length from the wire is checked here against the limits below before anybody uses it.
 */
#ifndef AME_WIRE_FRAME_H
#define AME_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- limits -------------------------------------------------------------------------------------- */

#define AME__PROTOCOL_VERSION 3u
#define AME__KEY_SIZE         32          /* bytes of the job key */
#define AME__NONCE_SIZE       32          /* bytes of a nonce */
#define AME__PROOF_SIZE       32          /* bytes of a proof */
#define AME__PAYLOAD_MAX      (1u << 20)  /* bytes after one header; longer messages travel in several DATA frames */
#define AME__CONTROL_MAX      (64u << 10) /* bytes after the header of a control frame */
#define AME__RANKS_MAX        (1 << 24)   /* ranks of a job */

/* ---- handshake ----------------------------------------------------------------------------------- */

#define AME__HELLO_SIZE   (8 + 4 + 4 + 4 + 4 + 8 + AME__NONCE_SIZE)
#define AME__ANSWER_SIZE  (8 + 4 + 4 + 8 + AME__NONCE_SIZE + AME__PROOF_SIZE)
#define AME__CONFIRM_SIZE AME__PROOF_SIZE

struct ame__hello {
    uint32_t version;
    uint32_t size;     /* ranks in the job, as the dialler knows it */
    uint32_t from, to; /* ranks: who dials, who is meant */
    uint32_t window;   /* bytes the other side may send ahead */
    uint32_t encrypt;  /* enum ame__encrypt; AME__ENCRYPT_REMOTE: the dialler sees another host */
    unsigned char nonce[AME__NONCE_SIZE];
};

#define AME__ENCRYPT_REMOTE 0x100u

enum ame__refusal { AME__REFUSE_NONE, AME__REFUSE_VERSION, AME__REFUSE_RANK, AME__REFUSE_BUSY, AME__REFUSE_ENCRYPT };

struct ame__answer {
    uint32_t version;
    uint32_t refusal; /* enum ame__refusal; anything but NONE: the rest is zero */
    uint32_t window;
    uint32_t encrypt; /* 1: what follows is sealed */
    unsigned char nonce[AME__NONCE_SIZE];
    unsigned char proof[AME__PROOF_SIZE];
};

void ame__hello_encode(unsigned char bytes[AME__HELLO_SIZE], const struct ame__hello *hello);
/* false: not this protocol at all (bad magic). The version is the caller's to check. */
bool ame__hello_decode(const unsigned char bytes[AME__HELLO_SIZE], struct ame__hello *hello);
void ame__answer_encode(unsigned char bytes[AME__ANSWER_SIZE], const struct ame__answer *answer);
bool ame__answer_decode(const unsigned char bytes[AME__ANSWER_SIZE], struct ame__answer *answer);
const char *ame__refusal_text(uint32_t refusal);

/* ---- frames -------------------------------------------------------------------------------------- */

#define AME__HEADER_SIZE 48

/* X(name, largest payload, what it says). `length` is the payload's length except in RTS, CTS and CREDIT. */
#define AME__FRAMES(X)                                                                                                 \
    X(EAGER, AME__PAYLOAD_MAX, "a whole message")                                                                      \
    X(RTS, 0, "a message of `length` bytes waits at `src` as request `id`")                                            \
    X(CTS, 0, "send request `id`: `length` bytes (0: it is not wanted) to request `other` here")                       \
    X(DATA, AME__PAYLOAD_MAX, "bytes from `other` on of the message for request `id`")                                 \
    X(GONE, 0, "what request `id` waits for has been withdrawn by the sender")                                         \
    X(POISON, AME__CONTROL_MAX, "the collective call failed at `src`: code -`id`, blame `id` >> 32; payload: text")    \
    X(READY, 0, "all ranks are connected to rank 0")                                                                   \
    X(CREDIT, 0, "`length` bytes that were sent ahead have been received by the program")                              \
    X(LINK_ASK, 0, "please offer me an address for a direct link")                                                     \
    X(LINK_OFFER, AME__CONTROL_MAX, "dial me there for a direct link; empty: none, use the relay")                     \
    X(LINK_NONE, 0, "your address cannot be reached from here: use the relay")                                         \
    X(BYE, 0, "I have finalized and send nothing more")                                                                \
    X(BYE_ACK, 0, "your BYE has arrived, and all before it")                                                           \
    X(LEFT, AME__CONTROL_MAX, "these ranks have finalized: 4 bytes each")                                              \
    X(FAILED, AME__CONTROL_MAX, "rank `id` has failed; the payload says how")                                          \
    X(ABORT, 0, "rank `id` has called ame_abort with code `tag`")                                                      \
    X(HOSTS, AME__CONTROL_MAX, "hosts of the ranks from `id` on, each name with a final 0")

enum ame__frame_kind {
    AME__FRAME_NONE,
#define AME__FRAME_ENUM(name, most, text) AME__FRAME_##name,
    AME__FRAMES(AME__FRAME_ENUM)
#undef AME__FRAME_ENUM
        AME__FRAME_COUNT
};

struct ame__header {
    uint8_t kind;
    uint8_t version; /* AME__PROTOCOL_VERSION */
    int32_t tag;
    uint64_t context; /* which communicator; odd: its collective calls */
    int32_t src, dst; /* ranks in the world: where it comes from, where it goes (not this rank: relay it) */
    uint64_t length;
    uint64_t id;
    uint64_t other; /* EAGER, RTS, POISON in a collective call: what the sender thinks it is doing */
};

void ame__header_encode(unsigned char bytes[AME__HEADER_SIZE], const struct ame__header *header);
/* NULL if the header is good for a job of `size` ranks, else what is wrong with it. */
const char *ame__header_decode(const unsigned char bytes[AME__HEADER_SIZE], int size, struct ame__header *header);
/* Bytes that follow this header. */
size_t ame__header_payload(const struct ame__header *header);
const char *ame__frame_name(uint8_t kind);

/* ---- integers in payloads ------------------------------------------------------------------------ */

static inline void ame__put32(unsigned char *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++) bytes[i] = (unsigned char) (value >> (8 * i));
}
static inline uint32_t ame__get32(const unsigned char *bytes)
{
    return (uint32_t) bytes[0] | (uint32_t) bytes[1] << 8 | (uint32_t) bytes[2] << 16 | (uint32_t) bytes[3] << 24;
}
static inline void ame__put64(unsigned char *bytes, uint64_t value)
{
    ame__put32(bytes, (uint32_t) value);
    ame__put32(bytes + 4, (uint32_t) (value >> 32));
}
static inline uint64_t ame__get64(const unsigned char *bytes)
{
    return (uint64_t) ame__get32(bytes) | (uint64_t) ame__get32(bytes + 4) << 32;
}

#endif
