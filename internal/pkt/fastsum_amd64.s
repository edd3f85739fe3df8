//go:build !purego

#include "textflag.h"

// Sixteen bytes are eight 16-bit words. With their highest bits turned they are
// signed numbers, each 32,768 too small; PMADDWL by ones adds them up in pairs, which
// leaves four numbers of 32 bits to be added to four accumulators. At the end
// 32,768 is added for each word. Up to 64 KiB nothing overflows.
//
// SSE2 is what every amd64 has. Builds for GOAMD64=v3 or more take 32 bytes at a
// time with AVX2.

// func sumBlocks(p *byte, n int) uint32
TEXT ·sumBlocks(SB), NOSPLIT, $0-20
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ CX, AX
	SHLQ $14, AX // 32,768 for each of n/2 words
#ifdef GOAMD64_v3
	VPCMPEQD Y15, Y15, Y15
	VPSRLW   $15, Y15, Y14 // ones
	VPSLLW   $15, Y15, Y15 // highest bits
	VPXOR    Y0, Y0, Y0
loop:
	VPXOR    (SI), Y15, Y2
	VPMADDWD Y14, Y2, Y2
	VPADDD   Y2, Y0, Y0
	ADDQ     $32, SI
	SUBQ     $32, CX
	JNE      loop
	VEXTRACTI128 $1, Y0, X1
	VZEROUPPER
#else
	PCMPEQL X15, X15
	MOVO    X15, X14
	PSRLW   $15, X14 // ones
	PSLLW   $15, X15 // highest bits
	PXOR    X0, X0
	PXOR    X1, X1
loop:
	MOVOU   (SI), X2
	MOVOU   16(SI), X3
	PXOR    X15, X2
	PXOR    X15, X3
	PMADDWL X14, X2
	PMADDWL X14, X3
	PADDL   X2, X0
	PADDL   X3, X1
	ADDQ    $32, SI
	SUBQ    $32, CX
	JNE     loop
#endif
	PADDL  X1, X0
	PSHUFL $0x4e, X0, X1
	PADDL  X1, X0
	PSHUFL $0xb1, X0, X1
	PADDL  X1, X0
	MOVL   X0, CX
	ADDL   CX, AX
	MOVL   AX, ret+16(FP)
	RET

// func copySumBlocks(dst, src *byte, n int) uint32
TEXT ·copySumBlocks(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ CX, AX
	SHLQ $14, AX
#ifdef GOAMD64_v3
	VPCMPEQD Y15, Y15, Y15
	VPSRLW   $15, Y15, Y14
	VPSLLW   $15, Y15, Y15
	VPXOR    Y0, Y0, Y0
loop:
	VMOVDQU  (SI), Y2
	VMOVDQU  Y2, (DI)
	VPXOR    Y15, Y2, Y2
	VPMADDWD Y14, Y2, Y2
	VPADDD   Y2, Y0, Y0
	ADDQ     $32, SI
	ADDQ     $32, DI
	SUBQ     $32, CX
	JNE      loop
	VEXTRACTI128 $1, Y0, X1
	VZEROUPPER
#else
	PCMPEQL X15, X15
	MOVO    X15, X14
	PSRLW   $15, X14
	PSLLW   $15, X15
	PXOR    X0, X0
	PXOR    X1, X1
loop:
	MOVOU   (SI), X2
	MOVOU   16(SI), X3
	MOVOU   X2, (DI)
	MOVOU   X3, 16(DI)
	PXOR    X15, X2
	PXOR    X15, X3
	PMADDWL X14, X2
	PMADDWL X14, X3
	PADDL   X2, X0
	PADDL   X3, X1
	ADDQ    $32, SI
	ADDQ    $32, DI
	SUBQ    $32, CX
	JNE     loop
#endif
	PADDL  X1, X0
	PSHUFL $0x4e, X0, X1
	PADDL  X1, X0
	PSHUFL $0xb1, X0, X1
	PADDL  X1, X0
	MOVL   X0, CX
	ADDL   CX, AX
	MOVL   AX, ret+24(FP)
	RET
