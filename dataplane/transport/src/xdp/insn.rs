//! eBPF instructions, as few as our programs need, and a table of them with jumps by name.
//!
//! ```text
//!   opcode:8 | dst:4 src:4 | offset:16 | immediate:32         little endian
//! ```
//!
//! Source: RFC 9669 (BPF instruction set); helper numbers from include/uapi/linux/bpf.h.

use core::ffi::c_int;

/// One instruction as the kernel reads it (`struct bpf_insn`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Insn {
    opcode: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}
const _: () = assert!(size_of::<Insn>() == 8);

/// A register. R0: result; R1 to R5: arguments, lost in a call; R6 to R9: kept; R10: end of the stack.
pub(super) type Register = u8;
pub(super) const R0: Register = 0;
pub(super) const R1: Register = 1;
pub(super) const R2: Register = 2;
pub(super) const R3: Register = 3;
pub(super) const R4: Register = 4;
pub(super) const R5: Register = 5;
pub(super) const R6: Register = 6;
pub(super) const R7: Register = 7;
pub(super) const R10: Register = 10;

/// Width of a load or store.
#[derive(Debug, Clone, Copy)]
pub(super) enum Width {
    B1 = 0x10,
    B2 = 0x08,
    B4 = 0x00,
}

/// Conditions of a jump, unsigned.
#[derive(Debug, Clone, Copy)]
pub(super) enum If {
    Equal = 0x10,
    Greater = 0x20,
    Set = 0x40,
    NotEqual = 0x50,
    Less = 0xa0,
}

/// Helpers of the kernel (`enum bpf_func_id`).
pub(super) const MAP_LOOKUP_ELEM: i32 = 1;
pub(super) const REDIRECT_MAP: i32 = 51;

const fn insn(opcode: u8, dst: Register, src: Register, offset: i16, immediate: i32) -> Insn {
    Insn {
        opcode,
        registers: dst | src << 4,
        offset,
        immediate,
    }
}

/// `dst = src`
pub(super) const fn mov(dst: Register, src: Register) -> Insn {
    insn(0xbf, dst, src, 0, 0)
}

/// `dst = value`
pub(super) const fn set(dst: Register, value: i32) -> Insn {
    insn(0xb7, dst, 0, 0, value)
}

/// `dst += value`
pub(super) const fn add(dst: Register, value: i32) -> Insn {
    insn(0x07, dst, 0, 0, value)
}

/// `dst = *(src + offset)`, zero extended, in the host's byte order.
pub(super) const fn load(width: Width, dst: Register, src: Register, offset: i16) -> Insn {
    insn(0x61 | width as u8, dst, src, offset, 0)
}

/// `*(dst + offset) = src`
pub(super) const fn store(width: Width, dst: Register, offset: i16, src: Register) -> Insn {
    insn(0x63 | width as u8, dst, src, offset, 0)
}

/// `*(dst + offset) += src`, eight bytes, atomically.
pub(super) const fn count(dst: Register, offset: i16, src: Register) -> Insn {
    insn(0xdb, dst, src, offset, 0)
}

/// `dst = big endian 16 bits → host`
pub(super) const fn from_be16(dst: Register) -> Insn {
    insn(0xdc, dst, 0, 0, 16)
}

/// `r0 = helper(r1 … r5)`
pub(super) const fn call(helper: i32) -> Insn {
    insn(0x85, 0, 0, 0, helper)
}

/// `return r0`
pub(super) const fn exit() -> Insn {
    insn(0x95, 0, 0, 0, 0)
}

/// A program with its jumps still by name: all of them lead forward, to one of the labels.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    code: Vec<Insn>,
    jumps: Vec<(usize, &'static str)>,
    labels: Vec<(&'static str, usize)>,
}

impl Assembler {
    /// Adds instructions.
    pub fn put<const N: usize>(&mut self, insns: [Insn; N]) -> &mut Self {
        self.code.extend(insns);
        self
    }

    /// `dst = the map`: the loader turns the descriptor into an address. Two slots.
    pub fn map(&mut self, dst: Register, map: c_int) -> &mut Self {
        const PSEUDO_MAP_FD: Register = 1;
        self.put([insn(0x18, dst, PSEUDO_MAP_FD, 0, map), insn(0, 0, 0, 0, 0)])
    }

    /// `if dst <condition> value goto label`
    pub fn jump(&mut self, dst: Register, when: If, value: i32, label: &'static str) -> &mut Self {
        self.jumps.push((self.code.len(), label));
        self.put([insn(0x05 | when as u8, dst, 0, 0, value)])
    }

    /// `if dst <condition> src goto label`
    pub fn jump_by(
        &mut self,
        dst: Register,
        when: If,
        src: Register,
        label: &'static str,
    ) -> &mut Self {
        self.jumps.push((self.code.len(), label));
        self.put([insn(0x0d | when as u8, dst, src, 0, 0)])
    }

    /// Here.
    pub fn label(&mut self, name: &'static str) -> &mut Self {
        self.labels.push((name, self.code.len()));
        self
    }

    /// The finished table.
    ///
    /// # Panics
    /// When a jump names no label, or one that is not ahead: a bug of ours, found by any test.
    pub fn finish(&mut self) -> Vec<Insn> {
        for (at, name) in &self.jumps {
            let label = self.labels.iter().find(|(label, _)| label == name);
            let target = label.expect("a label for each jump").1;
            assert!(target > *at, "jumps lead forward");
            self.code[*at].offset = (target - at - 1) as i16;
        }
        core::mem::take(&mut self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_encoded_as_the_standard_says() {
        // RFC 9669: 4.1 (mov64 reg 0xbf, imm 0xb7), 5.1 (ldx u16 0x69), 5.3 (atomic add 64 0xdb).
        assert_eq!(mov(R6, R1), insn(0xbf, 6, 1, 0, 0));
        assert_eq!(load(Width::B2, R5, R2, 12).opcode, 0x69);
        assert_eq!(load(Width::B4, R5, R2, 12).opcode, 0x61);
        assert_eq!(load(Width::B1, R5, R2, 12).opcode, 0x71);
        assert_eq!(store(Width::B4, R10, -12, R5).opcode, 0x63);
        assert_eq!(load(Width::B2, R5, R2, 12).registers, 0x25);
        let code = Assembler::default()
            .jump(R5, If::NotEqual, 8, "end")
            .put([set(R0, 1)])
            .label("end")
            .put([exit()])
            .finish();
        assert_eq!(code[0], insn(0x55, 5, 0, 1, 8));
    }
}
