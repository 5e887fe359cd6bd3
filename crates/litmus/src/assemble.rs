//! From a test to an image: code, locations, results.
//!
//! Each thread is a function: its initial registers, its instructions, then a store of every observed
//! register to a word of its own, which no other thread touches.

use std::ops::Range;

use abi::layout::IMAGE_BASE;
use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, Instruction, InstructionBlock, MemoryOperand, Register,
};
use machine::Segment;

use crate::test::{DATA, DATA_OFFSET, Place, Test, Thread, result_address};

/// The machine cannot take the test.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An instruction has no encoding.
    #[error("an instruction cannot be encoded: {0}")]
    Encoding(String),
    /// Its code is longer than 64 KiB.
    #[error("the code of the test has more than {DATA_OFFSET} bytes")]
    Long,
    /// The machine says so.
    #[error("{0}")]
    Machine(String),
}

/// What the machine loads.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) segments: Vec<Segment>,
    /// Where threads return to.
    pub(crate) stub: u64,
    /// The first instruction of each thread.
    pub(crate) entries: Vec<u64>,
    /// The instructions of each thread that the test gives, without what is put around them.
    pub(crate) own: Vec<Range<u64>>,
}

/// Assembles a test.
pub(crate) fn assemble(test: &Test) -> Result<Image, Refused> {
    // UD2, where every thread returns to.
    let mut code = vec![0x0f, 0x0b];
    let (mut entries, mut own) = (Vec::new(), Vec::new());
    for (number, thread) in (0u8..).zip(&test.threads) {
        code.resize(code.len().next_multiple_of(16), 0xcc);
        let entry = IMAGE_BASE + u64::try_from(code.len()).map_err(|_| Refused::Long)?;
        entries.push(entry);
        let instructions = function(test, number, thread);
        let block = InstructionBlock::new(&instructions, entry);
        let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
        let encoded = BlockEncoder::encode(64, block, options)
            .map_err(|error| Refused::Encoding(error.to_string()))?;
        let place = |at: usize| entry + u64::from(encoded.new_instruction_offsets[at]);
        let first = thread.registers.len();
        own.push(place(first)..place(first + thread.code.len()));
        code.extend(encoded.code_buffer);
    }
    let size = u64::try_from(code.len()).map_err(|_| Refused::Long)?;
    if size > DATA_OFFSET {
        return Err(Refused::Long);
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
    Ok(Image { segments: vec![code, data], stub: IMAGE_BASE, entries, own })
}

/// The whole function of a thread. The test's own instructions are numbered from 1, and branches name
/// these numbers; what comes after them goes on with the next, what comes before has others.
fn function(test: &Test, number: u8, thread: &Thread) -> Vec<Instruction> {
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
        if let Place::Register(of, register) = observable.place
            && of == number
        {
            let word = MemoryOperand::with_displ(result_address(at), 8);
            let keep = Instruction::with2(Code::Mov_rm64_r64, word, register).expect("a form");
            push(keep);
        }
    }
    push(Instruction::with(Code::Retnq));
    debug_assert!(all.iter().all(|instruction| !uses_stack(instruction)), "RSP is the machine's");
    all
}

fn uses_stack(instruction: &Instruction) -> bool {
    (0..instruction.op_count()).any(|operand| instruction.op_register(operand) == Register::RSP)
}
