/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * USDT points for the audit, at the one payload-copy primitive and at every encode and decode. Each is
 * a `nop` in the code and a note in the ELF file: it costs nothing until a probe is attached, and
 * counts nothing that does not really run. Without <sys/sdt.h> (Debian: systemtap-sdt-dev) they vanish,
 * and the audit says that copies and codecs of ours are not seen.
 *
 *     PERHOP_COPY(bytes)           payload bytes copied from one buffer to another, in user space
 *     PERHOP_ENCODE(type, bytes)   a payload became wire bytes: enum payload_type, and how many
 *     PERHOP_DECODE(type, bytes)   the reverse; `bytes` on the wire
 *     PERHOP_FRAME_OUT(bytes, copied)      a stack of ours hands the kernel a frame with payload for the other
 *                                          node; copied: the kernel takes a copy of it, not its memory
 *     PERHOP_FRAME_IN(bytes, copied)       … has been given one by the kernel
 */
#ifndef PERHOP_CHAIN_PROBE_H
#define PERHOP_CHAIN_PROBE_H

#if defined(__has_include)
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define PERHOP_HAVE_SDT 1
#endif
#endif

#ifdef PERHOP_HAVE_SDT
#define PERHOP_COPY(bytes) DTRACE_PROBE1(perhop, copy, (long)(bytes))
#define PERHOP_ENCODE(type, bytes) DTRACE_PROBE2(perhop, encode, (long)(type), (long)(bytes))
#define PERHOP_DECODE(type, bytes) DTRACE_PROBE2(perhop, decode, (long)(type), (long)(bytes))
#define PERHOP_FRAME_OUT(bytes, copied) DTRACE_PROBE2(perhop, frame_out, (long)(bytes), (long)(copied))
#define PERHOP_FRAME_IN(bytes, copied) DTRACE_PROBE2(perhop, frame_in, (long)(bytes), (long)(copied))
#else
#define PERHOP_COPY(bytes) ((void)(bytes))
#define PERHOP_ENCODE(type, bytes) ((void)(type), (void)(bytes))
#define PERHOP_DECODE(type, bytes) ((void)(type), (void)(bytes))
#define PERHOP_FRAME_OUT(bytes, copied) ((void)(bytes), (void)(copied))
#define PERHOP_FRAME_IN(bytes, copied) ((void)(bytes), (void)(copied))
#endif

#endif
