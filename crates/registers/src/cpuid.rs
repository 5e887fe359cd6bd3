//! The leaves of CPUID (SDM vol. 2 CPUID). Which features they enumerate is in `x86::cpuid`.

use mmu::bits::PHYSICAL_BITS;

/// The highest basic leaf.
const BASIC: u32 = 0xb;
/// The highest extended leaf.
const EXTENDED: u32 = 0x8000_0008;
/// The text that leaves 80000002H to 80000004H spell.
const BRAND: [u8; 48] = *b"Lamprey, a modelled x86-64 processor\0\0\0\0\0\0\0\0\0\0\0\0";

/// Returns EAX, EBX, ECX and EDX after CPUID on CPU number `cpu`; `None` for leaves without a model: caches and
/// TLBs.
///
/// A leaf above the highest gives the highest basic one, one below that is not supported gives zeroes (SDM
/// vol. 2 CPUID).
pub fn cpuid(leaf: u32, subleaf: u32, cpu: u8) -> Option<[u32; 4]> {
    let exists = leaf <= BASIC || (0x8000_0000..=EXTENDED).contains(&leaf);
    let leaf = if exists { leaf } else { BASIC };
    let id = u32::from(cpu);
    let numbers = match (leaf, subleaf) {
        (0, _) => [BASIC, 0x706d_614c, 0x3d3d_3d3d, 0x3d79_6572],
        // 8 CPUs in the package, cache lines of 64 bytes.
        (1, _) => [0, id << 24 | 8 << 16 | 8 << 8, 0, 0],
        (2 | 4 | 0x8000_0005 | 0x8000_0006, _) => return None,
        (7, 0) => [1, 0, 0, 0],
        // x2APIC numbers: one thread in each core, 8 cores in the package.
        (0xb, 0) => [0, 1, 1 << 8, id],
        (0xb, 1) => [3, 8, 1 | 2 << 8, id],
        (0xb, _) => [0, 0, subleaf & 0xff, id],
        (0x8000_0000, _) => [EXTENDED, 0, 0, 0],
        (0x8000_0002..=0x8000_0004, _) => brand(leaf - 0x8000_0002),
        // Linear addresses of 57 bits, since CPUID enumerates LA57.
        (0x8000_0008, _) => [PHYSICAL_BITS | 57 << 8, 0, 0, 0],
        _ => [0; 4],
    };
    let flags = x86::cpuid::flags(leaf, subleaf);
    Some(std::array::from_fn(|register| numbers[register] | flags[register]))
}

/// A third of the brand string.
fn brand(third: u32) -> [u32; 4] {
    let start = usize::try_from(16 * third).expect("below 48");
    std::array::from_fn(|register| {
        let bytes = &BRAND[start + 4 * register..];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_of_cpuid() {
        let [_, ebx, ecx, edx] = cpuid(0, 0, 0).expect("a leaf");
        let name: Vec<u8> = [ebx, edx, ecx].iter().flat_map(|part| part.to_le_bytes()).collect();
        assert_eq!(name, b"Lamprey=====");
        for beyond in [0xc, 0xd, 0x4000_0000, 0x8000_0009, 0x8000_001f, u32::MAX] {
            for subleaf in 0..3 {
                assert_eq!(cpuid(beyond, subleaf, 5), cpuid(0xb, subleaf, 5), "{beyond:#x}");
            }
        }
        for unsupported in [3, 5, 6, 8, 9, 0xa, 0x8000_0007] {
            assert_eq!(cpuid(unsupported, 0, 5), Some([0; 4]), "{unsupported:#x}");
        }
        assert_eq!(cpuid(4, 0, 5), None, "caches");
        assert_eq!(cpuid(7, 2, 5), Some([0; 4]), "a sub-leaf above the highest");
        assert_eq!(cpuid(1, 0, 5).map(|leaf| leaf[1]), Some(0x0508_0800));
    }
}
