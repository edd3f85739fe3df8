#include "textflag.h"

// func call(n, a, b, c uintptr) uintptr
TEXT ·call(SB), NOSPLIT, $0-40
	MOVQ n+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	MOVQ c+24(FP), DX
	SYSCALL
	MOVQ AX, ret+32(FP)
	RET
