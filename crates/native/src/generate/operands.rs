//! Operands by kind.

use iced_x86::{OpCodeOperandKind as K, OpKind, Register};

use super::Draft;

impl Draft<'_> {
    /// Chooses every operand of the form.
    pub(super) fn operands(&mut self) {
        let info = self.instruction.code().op_code();
        let mut immediates = 0;
        for i in 0..info.op_count() {
            let kind = info.op_kind(i);
            match kind {
                _ if self.is_memory(kind) => {
                    self.instruction.set_op_kind(i, OpKind::Memory);
                    self.effective = Some(0);
                }
                K::seg_rSI => self.string(i, OpKind::MemorySegRSI, OpKind::MemorySegESI),
                K::es_rDI => self.string(i, OpKind::MemoryESRDI, OpKind::MemoryESEDI),
                K::br64_1 | K::br64_4 => self.branch(i, kind == K::br64_1),
                _ if register_class(kind).is_some() => self.register(i, kind),
                _ => {
                    self.immediate(i, kind, immediates);
                    immediates += 1;
                }
            }
        }
        // Last, since it puts addresses into registers.
        if self.effective.is_some() {
            let absolute = (0..info.op_count()).any(|i| info.op_kind(i) == K::mem_offs);
            self.memory_operand(absolute);
        }
    }

    fn is_memory(&mut self, kind: K) -> bool {
        match kind {
            K::mem | K::mem_offs => true,
            K::r8_or_mem | K::r16_or_mem | K::r32_or_mem | K::r64_or_mem | K::xmm_or_mem => {
                self.rng.one_in(2)
            }
            _ => false,
        }
    }

    fn register(&mut self, i: u32, kind: K) {
        let Some((first, count)) = register_class(kind) else { return };
        // The register of an opcode or of ModRM is free, a fixed one is not.
        let register = if count == 1 { first } else { first + self.rng.below(count) as u32 };
        self.instruction.set_op_kind(i, OpKind::Register);
        self.instruction.set_op_register(i, register);
    }

    fn string(&mut self, i: u32, wide: OpKind, narrow: OpKind) {
        // Both operands of an instruction have one address size: that of the first.
        let narrow_size = if i == 0 {
            self.rng.one_in(5)
        } else {
            matches!(self.instruction.op0_kind(), OpKind::MemorySegESI | OpKind::MemoryESEDI)
                || (self.instruction.op0_kind() == OpKind::Register && self.rng.one_in(5))
        };
        self.instruction.set_op_kind(i, if narrow_size { narrow } else { wide });
    }

    fn immediate(&mut self, i: u32, kind: K, index: u32) {
        let value = self.rng.value();
        let byte = value as u8;
        let signed = i64::from(byte.cast_signed());
        let instruction = &mut self.instruction;
        match kind {
            K::imm8 if index == 1 => {
                instruction.set_op_kind(i, OpKind::Immediate8_2nd);
                instruction.set_immediate8_2nd(byte);
            }
            K::imm8 | K::imm8_const_1 => {
                instruction.set_op_kind(i, OpKind::Immediate8);
                instruction.set_immediate8(if kind == K::imm8 { byte } else { 1 });
            }
            K::imm8sex16 => {
                instruction.set_op_kind(i, OpKind::Immediate8to16);
                instruction.set_immediate8to16(signed as i16);
            }
            K::imm8sex32 => {
                instruction.set_op_kind(i, OpKind::Immediate8to32);
                instruction.set_immediate8to32(signed as i32);
            }
            K::imm8sex64 => {
                instruction.set_op_kind(i, OpKind::Immediate8to64);
                instruction.set_immediate8to64(signed);
            }
            K::imm16 => {
                instruction.set_op_kind(i, OpKind::Immediate16);
                instruction.set_immediate16(value as u16);
            }
            K::imm32 => {
                instruction.set_op_kind(i, OpKind::Immediate32);
                instruction.set_immediate32(value as u32);
            }
            K::imm32sex64 => {
                instruction.set_op_kind(i, OpKind::Immediate32to64);
                instruction.set_immediate32to64(i64::from(value as i32));
            }
            K::imm64 => {
                instruction.set_op_kind(i, OpKind::Immediate64);
                instruction.set_immediate64(value);
            }
            other => panic!("no generator for operand kind {other:?}"),
        }
    }
}

/// Returns the first register of the class that an operand kind draws from, and the size of the
/// class.
fn register_class(kind: K) -> Option<(Register, u64)> {
    Some(match kind {
        // AL to R15L, among them AH, CH, DH, BH.
        K::r8_reg | K::r8_opcode | K::r8_or_mem => (Register::AL, 20),
        K::r16_reg | K::r16_rm | K::r16_opcode | K::r16_or_mem => (Register::AX, 16),
        K::r32_reg | K::r32_rm | K::r32_opcode | K::r32_vvvv | K::r32_or_mem => (Register::EAX, 16),
        K::r64_reg | K::r64_rm | K::r64_opcode | K::r64_vvvv | K::r64_or_mem => (Register::RAX, 16),
        K::xmm_reg | K::xmm_rm | K::xmm_or_mem => (Register::XMM0, 16),
        K::al => (Register::AL, 1),
        K::cl => (Register::CL, 1),
        K::ax => (Register::AX, 1),
        K::eax => (Register::EAX, 1),
        K::rax => (Register::RAX, 1),
        _ => return None,
    })
}
