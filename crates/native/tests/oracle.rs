//! Every supported form, compared with the processor.

use native::{Coverage, Cpu, EXCLUDED, IP, SIZE};
use x86::{Fault, Lowered, flags};

/// Number of instances of each form.
const COUNT: u32 = 1000;
const SEED: u64 = 0x1a3b_5eed;

#[test]
fn every_form_agrees_with_the_processor() {
    let (mut covered, mut excluded, mut skipped) = (0, 0, Vec::new());
    let mut mismatches = Vec::new();
    native::all(COUNT, SEED, |code, result| match result {
        Ok(Coverage::Covered { instances, .. }) => {
            assert!(instances >= COUNT);
            covered += 1;
        }
        Ok(Coverage::Excluded { .. }) => excluded += 1,
        Ok(Coverage::Skipped { feature }) => skipped.push(format!("{code:?} ({feature})")),
        Err(mismatch) => mismatches.push(mismatch.to_string()),
    });
    assert!(mismatches.is_empty(), "{} forms differ:\n{}", mismatches.len(), mismatches.join("\n"));
    assert_eq!(
        covered + excluded + skipped.len(),
        x86::supported().count(),
        "skipped: {skipped:?}"
    );
    assert_eq!(excluded, 44, "forms behind the list of exclusions");
    // A processor without BMI, ADX, MOVBE or SSE4 lacks some tens of the forms, none lacks the rest.
    assert!(covered > 700, "skipped: {skipped:?}");
}

#[test]
fn every_exclusion_is_of_a_supported_form() {
    for (mnemonic, reason) in EXCLUDED {
        let used = x86::supported().any(|code| code.mnemonic() == *mnemonic);
        assert!(used, "{mnemonic:?} ({reason}) is not supported");
    }
}

/// Checks faults that no well-formed instance shows.
#[test]
fn a_misused_lock_is_an_invalid_opcode_for_the_processor_too() {
    let cases: [&[u8]; 5] = [
        &[0xf0, 0x48, 0x89, 0xc0],       // lock mov %rax,%rax
        &[0xf0, 0x48, 0x01, 0xc0],       // lock add %rax,%rax
        &[0xf0, 0x48, 0x39, 0x04, 0x24], // lock cmp %rax,(%rsp)
        &[0xf0, 0x90],                   // lock nop
        &[0xf0, 0x0f, 0xa3, 0x04, 0x24], // lock bt %eax,(%rsp)
    ];
    let mut cpu = Cpu::acquire();
    for bytes in cases {
        let regs = registers(&cpu);
        let native = cpu.run(bytes, &regs, &[0; SIZE]);
        assert_eq!(native.fault, Some(6), "{bytes:02x?}");
        let Lowered::Op(op) = x86::lower(bytes, IP) else { panic!("refused: {bytes:02x?}") };
        let mut env = native::Window { memory: vec![0; SIZE], fsgsbase: false };
        let mut after = regs.clone();
        assert_eq!(x86::exec(&op, &mut after, &mut env), Err(Fault::UD), "{bytes:02x?}");
        assert_eq!(native.regs, after);
    }
}

/// Checks bytes that the interpreter makes #UD, and the host's processor perhaps not: it has
/// features that the modelled one lacks. Bytes of features that its CPUID does not enumerate are
/// #UD there, too.
#[test]
fn bytes_that_are_no_instruction_are_invalid_opcodes_on_the_processor_too() {
    let mut cpu = Cpu::acquire();
    let regs = registers(&cpu);
    let (mut compared, mut differ) = (0, Vec::new());
    for bytes in undecodable() {
        let Lowered::Op(_) = x86::lower(&bytes, IP) else { continue };
        let native = cpu.run(&bytes, &regs, &[0; SIZE]);
        compared += 1;
        if native.fault != Some(6) {
            differ.push(format!("{:02x?} {:?}", &bytes[..6], native.fault));
        }
    }
    assert!(differ.is_empty(), "{} of {compared}:\n{}", differ.len(), differ.join("\n"));
    assert!(compared > 10_000, "{compared}");
}

/// Returns all opcodes of the legacy maps with each mandatory prefix, and an operand in a register
/// or in memory, that the decoder does not decode to an instruction.
fn undecodable() -> impl Iterator<Item = Vec<u8>> {
    let prefixes: [&[u8]; 5] = [&[], &[0x66], &[0xf3], &[0xf2], &[0x48]];
    let maps: [&[u8]; 4] = [&[], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]];
    let starts =
        prefixes.into_iter().flat_map(move |prefix| maps.map(|map| [prefix, map].concat()));
    let all = starts.flat_map(|start| {
        // ModR/M: register operands, or (%rax) and its like.
        let modrm = (0..=255u8).filter(|modrm| *modrm >= 0xc0 || modrm & 0xc7 == 0);
        modrm.flat_map(move |modrm| {
            let start = start.clone();
            (0..=255u8).map(move |opcode| {
                let mut bytes = [&start[..], &[opcode, modrm]].concat();
                bytes.resize(x86::MAX_LEN, 0);
                bytes
            })
        })
    });
    // VMCALL with a prefix: a hypervisor, if there is one, handles it.
    let of_hypervisors = |bytes: &[u8]| bytes[1..4] == [0x0f, 0x01, 0xc1];
    all.filter(move |bytes| {
        let options = iced_x86::DecoderOptions::NONE;
        let decoded = iced_x86::Decoder::with_ip(64, bytes, IP, options).decode();
        decoded.is_invalid() && !of_hypervisors(bytes)
    })
}

#[test]
fn more_than_15_bytes_fault_on_the_processor_too() {
    let mut cpu = Cpu::acquire();
    let regs = registers(&cpu);
    // A jump follows the prefixes.
    assert_eq!(cpu.run(&[0x66; 15], &regs, &[0; SIZE]).fault, Some(13));
}

fn registers(cpu: &Cpu) -> x86::Regs {
    x86::Regs {
        gpr: [native::WINDOW; 16],
        rip: IP,
        rflags: flags::FIXED | flags::IF,
        xmm: [0; 16],
        fs_base: cpu.fs_base(),
        gs_base: 0,
        kernel_gs_base: 0,
    }
}
