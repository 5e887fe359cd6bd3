//! Assembles a test into an image: code, locations, result words.
//!
//! Each thread is a function. It sets its initial registers, runs its instructions, then stores every observed
//! register to a separate word, which no other thread touches.

use std::ops::Range;

use abi::layout::IMAGE_BASE;
use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, Instruction, InstructionBlock, MemoryOperand, Register,
};
use machine::Segment;

use crate::test::{DATA, DATA_OFFSET, ObservedPlace, Test, TestThread, result_address};

/// The reason why a test cannot be assembled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// An instruction has no encoding.
    #[error("an instruction cannot be encoded: {0}")]
    Encoding(String),
    /// The code is longer than 64 KiB.
    #[error("the code of the test has more than {DATA_OFFSET} bytes")]
    Long,
    /// The machine refuses the image.
    #[error("{0}")]
    Machine(String),
}

/// An assembled test, as the machine loads it.
#[derive(Clone, Debug)]
pub(crate) struct AssembledTest {
    pub(crate) segments: Vec<Segment>,
    /// The return address of threads.
    pub(crate) stub: u64,
    /// The first instruction of each thread.
    pub(crate) entries: Vec<u64>,
    /// The addresses of each thread's own instructions, without those that are added around them.
    pub(crate) own: Vec<Range<u64>>,
}

/// Assembles a test.
pub(crate) fn assemble(test: &Test) -> Result<AssembledTest, AssembleError> {
    // UD2, the return address of every thread.
    let mut code = vec![0x0f, 0x0b];
    let (mut entries, mut own) = (Vec::new(), Vec::new());
    for (number, thread) in (0u8..).zip(&test.threads) {
        code.resize(code.len().next_multiple_of(16), 0xcc);
        let entry = IMAGE_BASE + u64::try_from(code.len()).map_err(|_| AssembleError::Long)?;
        entries.push(entry);
        let instructions = function(test, number, thread);
        let block = InstructionBlock::new(&instructions, entry);
        let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
        let encoded = BlockEncoder::encode(64, block, options)
            .map_err(|error| AssembleError::Encoding(error.to_string()))?;
        let place = |at: usize| entry + u64::from(encoded.new_instruction_offsets[at]);
        let first = thread.registers.len();
        own.push(place(first)..place(first + thread.code.len()));
        code.extend(encoded.code_buffer);
    }
    let size = u64::try_from(code.len()).map_err(|_| AssembleError::Long)?;
    if size > DATA_OFFSET {
        return Err(AssembleError::Long);
    }
    let words = test.words();
    let end = words.last_key_value().map_or(DATA.start, |(last, _)| last + 8);
    let data = (DATA.start..end)
        .step_by(8)
        .flat_map(|word| words.get(&word).copied().unwrap_or_default().to_le_bytes())
        .collect();
    let code = Segment { va: IMAGE_BASE, bytes: code, size, writable: false, executable: true };
    let data = Segment {
        va: DATA.start,
        bytes: data,
        size: result_address(test.observables.len()) - DATA.start,
        writable: true,
        executable: false,
    };
    Ok(AssembledTest { segments: vec![code, data], stub: IMAGE_BASE, entries, own })
}

/// Returns the whole function of a thread. The test's own instructions are numbered from 1, and branches name
/// these numbers; those added after them continue the numbering, and those added before have other numbers.
fn function(test: &Test, number: u8, thread: &TestThread) -> Vec<Instruction> {
    const BEFORE: u64 = 1 << 32;
    let mut all = Vec::new();
    for (at, (register, value)) in (BEFORE..).zip(&thread.registers) {
        let mut set = Instruction::with2(Code::Mov_r64_imm64, *register, *value).expect("a form");
        set.set_ip(at);
        all.push(set);
    }
    all.extend(&thread.code);
    let mut next = u64::try_from(thread.code.len()).expect("few instructions") + 1;
    let mut push = |mut instruction: Instruction| {
        instruction.set_ip(next);
        next += 1;
        all.push(instruction);
    };
    for (at, observable) in test.observables.iter().enumerate() {
        if let ObservedPlace::Register(of, register) = observable.place
            && of == number
        {
            let word = MemoryOperand::with_displ(result_address(at), 8);
            let keep = Instruction::with2(Code::Mov_rm64_r64, word, register).expect("a form");
            push(keep);
        }
    }
    push(Instruction::with(Code::Retnq));
    debug_assert!(
        all.iter().all(|instruction| !uses_stack(instruction)),
        "RSP belongs to the machine"
    );
    all
}

fn uses_stack(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).any(|operand| instruction.op_register(operand) == Register::RSP)
}
