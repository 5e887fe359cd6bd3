//! Every form that a decoder knows in 64-bit mode has one class, and its bytes decode accordingly.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Flat, regs};
use iced_x86::{Code, Decoder, DecoderOptions, EncodingKind};
use x86::{Check, Class, Fault, Lowered, MAX_LEN, class, exec, lower};

const IP: u64 = 0xffff_ffff_8100_0000;

/// Returns whether a form belongs to another decoder: of one vendor or of withdrawn processors, or
/// FWAIT and an instruction at once. Its bytes mean something else, or nothing.
fn is_of_others(code: Code) -> bool {
    let info = code.op_code();
    let option = info.decoder_option() != DecoderOptions::NONE;
    option || info.encoding() == EncodingKind::MVEX || !info.intel_decoder64() || info.fwait()
}

/// Returns the forms of 64-bit mode.
fn forms() -> impl Iterator<Item = Code> {
    Code::values().filter(|code| code.op_code().is_instruction() && code.op_code().mode64())
}

/// Returns the bytes before the opcode: a prefix and an escape, legacy or VEX, EVEX and XOP.
fn starts() -> Vec<Vec<u8>> {
    let mut starts = Vec::new();
    let prefixes: [&[u8]; 8] =
        [&[], &[0x66], &[0xf3], &[0xf2], &[0x48], &[0x66, 0x48], &[0xf3, 0x48], &[0xf2, 0x48]];
    let maps: [&[u8]; 4] = [&[], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]];
    for prefix in prefixes.iter().chain(&[&[0x67][..], &[0x9b]]) {
        starts.extend(maps.map(|map| [prefix, map].concat()));
    }
    for (map, low) in
        [1, 2, 3, 8, 9, 10].into_iter().flat_map(|map| (0..8).map(move |low| (map, low)))
    {
        // W, then L and the implied prefix.
        for w in [0x78, 0xf8] {
            starts.push(vec![if map < 8 { 0xc4 } else { 0x8f }, 0xe0 | map, w | low]);
        }
    }
    for (map, low) in [1, 2, 3, 5, 6].into_iter().flat_map(|map| (0..4).map(move |low| (map, low)))
    {
        for (w, length) in [0x7c, 0xfc].into_iter().flat_map(|w| [0x08, 0x28, 0x48].map(|l| (w, l)))
        {
            starts.push(vec![0x62, 0xf0 | map, w | low, length]);
        }
    }
    starts
}

/// Returns an encoding of each form that a start, a byte of opcode and a ModR/M byte reach, found
/// by decoding them all.
fn encodings() -> BTreeMap<Code, Vec<u8>> {
    let mut found = BTreeMap::new();
    for start in starts() {
        for (opcode, modrm) in
            (0..=255).flat_map(|opcode| (0..=255).map(move |modrm| (opcode, modrm)))
        {
            let mut bytes = [&start[..], &[opcode, modrm]].concat();
            bytes.resize(MAX_LEN, 0);
            let decoded = Decoder::with_ip(64, &bytes, IP, DecoderOptions::NONE).decode();
            if !decoded.is_invalid() {
                bytes.truncate(decoded.len());
                found.entry(decoded.code()).or_insert(bytes);
            }
        }
    }
    found
}

#[test]
fn every_form_has_one_class() {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for code in forms() {
        let name =
            if is_of_others(code) { "Others".to_owned() } else { format!("{:?}", class(code)) };
        *counts.entry(name).or_default() += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    // A change of these numbers is a decision: change the number with the class.
    assert_eq!(
        counts,
        [
            ("Absent", 2985),
            ("Others", 326),
            ("Supported", 851),
            ("Undefined", 8),
            ("Unmodelled", 520)
        ]
    );
}

/// Checks the feature sets that the processor lacks: a new one of the decoder's is a decision, too.
#[test]
fn the_processor_lacks_these_feature_sets() {
    let absent = forms().filter(|&code| !is_of_others(code) && class(code) == Class::Absent);
    let sets: BTreeSet<String> =
        absent.flat_map(|code| code.cpuid_features()).map(|set| format!("{set:?}")).collect();
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let expected = "AES AESKLE AMX_BF16 AMX_COMPLEX AMX_FP16 AMX_INT8 AMX_TILE AVX AVX2 AVX512BW AVX512CD \
                AVX512DQ AVX512ER AVX512F AVX512PF AVX512VL AVX512_4FMAPS AVX512_4VNNIW AVX512_BF16 \
                AVX512_BITALG AVX512_FP16 AVX512_IFMA AVX512_VBMI AVX512_VBMI2 AVX512_VNNI \
                AVX512_VP2INTERSECT AVX512_VPOPCNTDQ AVX_IFMA AVX_NE_CONVERT AVX_VNNI AVX_VNNI_INT16 \
                AVX_VNNI_INT8 CET_SS CLZERO CMPCCXADD D3NOW D3NOWEXT ENQCMD F16C FMA FMA4 FRED GFNI \
                HLE_or_RTM HRESET INVEPT INVLPGB INVVPID KL LKGS LWP MCOMMIT MONITOR MONITORX MOVDIR64B \
                MOVDIRI MSRLIST OSS PADLOCK_ACE PADLOCK_GMI PADLOCK_PHE PADLOCK_PMM PADLOCK_RNG \
                PADLOCK_UNDOC PCLMULQDQ PCONFIG PKU PTWRITE RAO_INT RDPID RDPRU RDRAND RDSEED RMPQUERY RTM \
                SERIALIZE SEV_ES SEV_SNP SGX1 SHA SHA512 SKINIT_or_SVM SM3 SM4 SMX SSE4A SVM TBM TDX TSE \
                TSXLDTRK UINTR VAES VMX VPCLMULQDQ WAITPKG WIDE_KL WRMSRNS XOP XSAVE XSAVEC XSAVEOPT XSAVES";
    assert_eq!(sets, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn bytes_end_as_the_class_of_their_form_says() {
    let encodings = encodings();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for (&code, bytes) in &encodings {
        let class = class(code);
        let lowered = lower(bytes, IP);
        let is_ud = match &lowered {
            Lowered::Op(op) => {
                let mut env = Flat::new(0x5000);
                exec(op, &mut regs(), &mut env) == Err(Fault::UD)
            }
            _ => false,
        };
        match class {
            Class::Absent | Class::Undefined => {
                assert!(is_ud, "{code:?} {bytes:02x?}: {lowered:?}")
            }
            // An instance of a supported form that is refused, or #UD, is on the list below.
            Class::Supported => assert!(matches!(lowered, Lowered::Op(_)), "{code:?} {bytes:02x?}"),
            Class::Unmodelled => {
                let Lowered::Unsupported { len, ref text, .. } = lowered else {
                    panic!("{code:?} {bytes:02x?}: {lowered:?}");
                };
                assert!(usize::from(len) == bytes.len() && !text.is_empty(), "{code:?}");
            }
        }
        *seen.entry(format!("{class:?}")).or_default() += 1;
    }
    let forms_of = |wanted: Class| {
        forms().filter(|&code| !is_of_others(code) && class(code) == wanted).count()
    };
    let missed: Vec<_> = forms()
        .filter(|code| !is_of_others(*code) && class(*code) != Class::Absent)
        .filter(|code| !encodings.contains_key(code) && class(*code) != Class::Supported)
        .collect();
    assert!(missed.is_empty(), "no encoding tried of {missed:?}");
    assert_eq!(seen["Unmodelled"] as usize, forms_of(Class::Unmodelled));
    assert_eq!(seen["Undefined"] as usize, forms_of(Class::Undefined));
    assert!(seen["Absent"] > 200 && seen["Supported"] > 700, "{seen:?}");
}

fn faults(bytes: &[u8], fault: Fault) {
    match lower(bytes, IP) {
        Lowered::Op(op) => {
            let mut before = regs();
            before.rip = IP;
            let mut after = before.clone();
            assert_eq!(exec(&op, &mut after, &mut Flat::new(0x5000)), Err(fault), "{bytes:02x?}");
            assert_eq!(after, before);
        }
        other => panic!("{bytes:02x?}: {other:?}"),
    }
}

#[test]
fn an_absent_instruction_is_an_invalid_opcode() {
    let cases: [&[u8]; 16] = [
        &[0x48, 0x8d, 0xc0],       // lea %rax,%rax
        &[0x0f, 0x38, 0xf0, 0xc0], // movbe between registers
        &[0x06],                   // push %es
        &[0x27],                   // daa
        &[0xce],                   // into
        &[0x9a],                   // a far call to an immediate address
        &[0xd6],                   // salc
        &[0x8e, 0xc8],             // mov to %cs
        &[0x8e, 0xf8],             // mov to a segment register without a name
        &[0x0f, 0x22, 0xc8],       // mov to %cr1
        &[0x44, 0x0f, 0x20, 0xc8], // mov from %cr9
        &[0x44, 0x0f, 0x23, 0xc0], // mov to %dr8
        &[0x0f, 0x01, 0xd0],       // xgetbv
        &[0x0f, 0xc7, 0xf0],       // rdrand %eax
        &[0xc5, 0xf8, 0x77],       // vzeroupper
        &[0x0f, 0x01, 0xfe],       // invlpgb
    ];
    for bytes in cases {
        faults(bytes, Fault::UD);
    }
}

#[test]
fn lock_where_none_is_allowed_is_an_invalid_opcode() {
    let cases: [&[u8]; 9] = [
        &[0xf0, 0x48, 0x89, 0xc0], // mov
        &[0xf0, 0x48, 0x01, 0xc0], // add between registers
        &[0xf0, 0x48, 0x39, 0x00], // cmp
        &[0xf0, 0x90],             // nop
        &[0xf0, 0x0f, 0xae, 0xf0], // mfence
        &[0xf0, 0x0f, 0x05],       // syscall, which has no model
        &[0xf0, 0xd9, 0xe8],       // fld1, neither
        &[0xf0, 0x0f, 0x20, 0xc0], // mov from %cr0: from %cr8 where CPUID enumerates that
        &[0xf0, 0x0f, 0xc7, 0xf0], // rdrand
    ];
    for bytes in cases {
        faults(bytes, Fault::UD);
    }
}

#[test]
fn more_than_15_bytes_are_a_protection_fault() {
    let long = |prefixes: usize| {
        let mut bytes = vec![0x66; prefixes];
        bytes.extend([0x48, 0x01, 0xc0]);
        bytes
    };
    faults(&long(13), Fault::GP);
    faults(&[0x66; 15], Fault::GP);
    let Lowered::Op(op) = lower(&long(12), IP) else { panic!("15 bytes are an instruction") };
    assert_eq!(op.len(), 15);
}

#[test]
fn cut_off_bytes_are_incomplete() {
    for bytes in [
        &[][..],
        &[0x48],
        &[0x48, 0x8b],
        &[0x66; 14],
        &[0x0f],
        &[0xc5, 0xf8],
        &[0xc4],
        &[0xc4, 0xe2, 0x78],
        &[0x62],
    ] {
        assert!(matches!(lower(bytes, IP), Lowered::Incomplete), "{bytes:02x?}");
    }
}

#[test]
fn hints_that_the_processor_does_not_know_do_nothing() {
    let cases: [&[u8]; 6] = [
        &[0xf3, 0x48, 0x0f, 0x1e, 0xc8], // rdsspq %rax
        &[0xf3, 0x0f, 0x1e, 0xfa],       // endbr64
        &[0x0f, 0x1c, 0x00],             // cldemote (%rax)
        &[0x0f, 0x0d, 0x08],             // prefetchw (%rax)
        &[0x0f, 0x0d, 0x10],             // prefetchwt1 (%rax)
        &[0x0f, 0x18, 0x08],             // prefetcht0 (%rax)
    ];
    for bytes in cases {
        let Lowered::Op(op) = lower(bytes, 0) else { panic!("{bytes:02x?}") };
        let mut after = regs();
        exec(&op, &mut after, &mut Flat::new(0x5000)).expect("a NOP");
        assert_eq!(after.rip, bytes.len() as u64);
        after.rip = 0;
        assert_eq!(after, regs(), "{bytes:02x?}");
    }
}

#[test]
fn a_flushed_line_is_read() {
    // clflush, clflushopt, clwb (%rax)
    for bytes in [&[0x0f, 0xae, 0x38][..], &[0x66, 0x0f, 0xae, 0x38], &[0x66, 0x0f, 0xae, 0x30]] {
        let Lowered::Op(op) = lower(bytes, 0) else { panic!("{bytes:02x?}") };
        let mut env = Flat::logging(0x5000);
        let mut registers = regs();
        registers.gpr[0] = 0x5fff;
        exec(&op, &mut registers, &mut env).expect("the last byte of the page");
        assert_eq!(env.log.map(|log| log.len()), Some(1));
        registers.gpr[0] = 0x6000;
        let fault = exec(&op, &mut registers, &mut Flat::new(0x5000));
        assert_eq!(fault, Err(Fault { vector: 14, code: 0, va: 0x6000 }));
    }
}

/// Checks instructions that have no model and check something first.
#[test]
fn first_checks() {
    let first = |bytes: &[u8]| match lower(bytes, IP) {
        Lowered::Unsupported { first, .. } => first,
        other => panic!("{bytes:02x?}: {other:?}"),
    };
    assert_eq!(first(&[0x0f, 0x05]), Check::Syscall);
    assert_eq!(first(&[0x48, 0x0f, 0x07]), Check::Sysret);
    assert_eq!(first(&[0x0f, 0x06]), Check::Privileged, "clts");
    assert_eq!(first(&[0x0f, 0x09]), Check::Privileged, "wbinvd");
    assert_eq!(first(&[0x0f, 0x00, 0xd0]), Check::Privileged, "lldt");
    assert_eq!(first(&[0x0f, 0x23, 0xc0]), Check::Privileged, "mov to dr0");
    assert_eq!(first(&[0xd9, 0xe8]), Check::Nothing, "fld1");
    assert_eq!(first(&[0x6c]), Check::Nothing, "insb: by IOPL");
    let (ud, gp) = (Some(Fault::UD), Some(Fault::GP));
    assert_eq!([Check::Syscall.fault(3, false), Check::Syscall.fault(3, true)], [ud, None]);
    assert_eq!([Check::Sysret.fault(3, false), Check::Sysret.fault(3, true)], [ud, gp]);
    assert_eq!([Check::Privileged.fault(3, true), Check::Privileged.fault(0, true)], [gp, None]);
}
