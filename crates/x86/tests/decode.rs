//! Accepted and refused encodings, and the properties of an [`Op`](x86::Op).

use x86::{Lowered, disassemble, lower};

const IP: u64 = 0xffff_ffff_8100_0000;

fn refused(bytes: &[u8]) -> (u8, String) {
    match lower(bytes, IP) {
        Lowered::Unsupported { len, text, .. } => (len, text),
        other => panic!("{other:?}"),
    }
}

fn accepted(bytes: &[u8]) -> x86::Op {
    match lower(bytes, IP) {
        Lowered::Op(op) => op,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_form_counts_once() {
    // A change of this number is a decision: change it with the table.
    assert_eq!(x86::supported().count(), 859);
}

#[test]
fn unmodelled_instructions_are_refused_with_their_text() {
    assert_eq!(refused(&[0x0f, 0x05]), (2, "syscall".to_owned()));
    assert_eq!(refused(&[0xcf]), (1, "iretl".to_owned()), "32-bit frames");
    assert_eq!(refused(&[0xcb]), (1, "lretl".to_owned()), "32-bit frames");
    assert_eq!(refused(&[0x6c]), (1, "insb %dx,(%rdi)".to_owned()));
    assert_eq!(refused(&[0x0f, 0x06]), (2, "clts".to_owned()));
    assert_eq!(refused(&[0xd9, 0xc0]).0, 2, "x87");
    assert_eq!(refused(&[0x66, 0x0f, 0xc8]).0, 3, "bswap of 16 bits is undefined");
    assert_eq!(refused(&[0xc8, 0, 0, 2]).0, 4, "enter with a display");
}

/// Non-temporal stores are not ordered as other stores are (SDM vol. 3 §8.2.2): to treat them as
/// plain ones would hide the effect of a missing SFENCE.
#[test]
fn non_temporal_stores_are_refused() {
    let stores: [(&[u8], &str); 7] = [
        (&[0x0f, 0xc3, 0x07], "movnti %eax,(%rdi)"),
        (&[0x48, 0x0f, 0xc3, 0x07], "movnti %rax,(%rdi)"),
        (&[0x66, 0x0f, 0xe7, 0x07], "movntdq %xmm0,(%rdi)"),
        (&[0x0f, 0x2b, 0x07], "movntps %xmm0,(%rdi)"),
        (&[0x66, 0x0f, 0x2b, 0x07], "movntpd %xmm0,(%rdi)"),
        (&[0x0f, 0xe7, 0x07], "movntq %mm0,(%rdi)"),
        (&[0x66, 0x0f, 0xf7, 0xc1], "maskmovdqu %xmm1,%xmm0"),
    ];
    for (bytes, text) in stores {
        let (len, refused) = refused(bytes);
        assert_eq!((usize::from(len), refused.as_str()), (bytes.len(), text));
    }
}

/// Checks encodings of x87 and of reserved NOPs that the decoder lacks: the manuals leave them
/// open.
#[test]
fn reserved_encodings_are_refused() {
    assert_eq!(refused(&[0xd9, 0xd1]), (2, "(bad)".to_owned()));
    assert_eq!(refused(&[0x2e, 0x41, 0xd9, 0xd1]).1, "(bad)");
}

#[test]
fn encodings_that_vendors_read_differently_are_refused() {
    assert_eq!(refused(&[0x66, 0xc3]).0, 2, "16-bit ret");
    assert_ne!(refused(&[0x66, 0xe9, 0, 0, 0, 0]).0, 0, "16-bit jmp");
    assert_ne!(refused(&[0xf3, 0xe1, 0]).0, 0, "loope with a condition in the prefix");
    assert_eq!(refused(&[0x67, 0xf3, 0xa4]).0, 3, "rep movsb that counts in ECX");
    accepted(&[0x67, 0xa4]);
    accepted(&[0xf3, 0xa4]);
    // REX.W has precedence.
    accepted(&[0x66, 0x48, 0xe8, 0, 0, 0, 0]);
    // The usual padding of a return.
    assert!(accepted(&[0xf3, 0xc3]).is_ret());
}

#[test]
fn kinds_the_machine_asks_for() {
    let call = accepted(&[0xe8, 0, 0, 0, 0]);
    assert!(call.is_call() && !call.is_ret() && call.len() == 5);
    assert!(accepted(&[0xff, 0xd0]).is_call());
    assert!(!accepted(&[0xff, 0xe0]).is_call());
    assert!(accepted(&[0xc2, 8, 0]).is_ret());
    assert!(accepted(&[0xf0, 0x48, 0x01, 0x07]).is_locked(), "lock add");
    assert!(accepted(&[0x48, 0x87, 0x07]).is_locked(), "xchg with memory");
    assert!(!accepted(&[0x48, 0x87, 0xc7]).is_locked(), "xchg of registers");
}

#[test]
fn disassembly_is_in_the_syntax_of_att() {
    assert_eq!(disassemble(&[0xf0, 0x48, 0x0f, 0xb1, 0x0f], 0), "lock cmpxchg %rcx,(%rdi)");
    assert_eq!(disassemble(&[0x0f, 0x22, 0xd8], 0), "mov %rax,%cr3");
    assert_eq!(disassemble(&[0x06], 0), "(bad)");
}
