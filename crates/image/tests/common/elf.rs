//! ELF files made by hand, for tests that damage them.

/// A program header.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) va: u64,
    pub(crate) file_size: u64,
    pub(crate) mem_size: u64,
}

pub(crate) const LOAD: u32 = 1;
pub(crate) const DYNAMIC: u32 = 2;
pub(crate) const INTERP: u32 = 3;

/// Creates a readable and executable `PT_LOAD` of the first 16 bytes of the file.
pub(crate) fn load(va: u64, mem_size: u64) -> Program {
    Program { kind: LOAD, flags: 5, offset: 0, va, file_size: 16, mem_size }
}

/// Creates an executable with these program headers, no sections, and `tail` at its end.
pub(crate) fn elf(programs: &[Program], tail: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |bytes: &mut Vec<u8>, value: u16| bytes.extend(value.to_le_bytes());
    let word = |bytes: &mut Vec<u8>, value: u32| bytes.extend(value.to_le_bytes());
    let long = |bytes: &mut Vec<u8>, value: u64| bytes.extend(value.to_le_bytes());
    half(&mut bytes, 2); // ET_EXEC
    half(&mut bytes, 62); // EM_X86_64
    word(&mut bytes, 1);
    long(&mut bytes, 0x1000); // entry
    long(&mut bytes, 64); // program headers
    long(&mut bytes, 0); // section headers
    word(&mut bytes, 0);
    half(&mut bytes, 64);
    half(&mut bytes, 56);
    half(&mut bytes, u16::try_from(programs.len()).expect("few headers"));
    half(&mut bytes, 64);
    half(&mut bytes, 0);
    half(&mut bytes, 0);
    for program in programs {
        word(&mut bytes, program.kind);
        word(&mut bytes, program.flags);
        for value in [program.offset, program.va, program.va, program.file_size, program.mem_size] {
            long(&mut bytes, value);
        }
        long(&mut bytes, 1);
    }
    bytes.extend(tail);
    bytes
}

/// Returns the bytes with `value` written at `at`.
pub(crate) fn patched(mut bytes: Vec<u8>, at: usize, value: &[u8]) -> Vec<u8> {
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}
