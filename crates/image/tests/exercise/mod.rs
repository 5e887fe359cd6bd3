//! Every query of an image: for tests with damaged files, and for `fuzz`.

use image::Image;

/// Makes every query; returns whether `bytes` are an image that answers some of them.
pub(crate) fn exercise(bytes: Vec<u8>) -> bool {
    let Ok(image) = Image::parse("damaged", bytes) else { return false };
    let mut total = image.id().len() + image.producer().map_or(0, |text| text.len());
    let addresses: Vec<u64> = image.symbols().map(|symbol| symbol.address).collect();
    for segment in image.segments() {
        let step = (segment.mem_size / 32).max(1);
        for number in 0..32 {
            total += ask(&image, segment.va.wrapping_add(number * step));
        }
    }
    for address in addresses {
        total += ask(&image, address);
    }
    let names = ["guest::model::Table", "guest::model::Space<guest::model::Mm,4>", "mm_struct"];
    for name in names {
        for offset in [0, 8, 0x2c, 0x48, u64::MAX] {
            total += image.field_at(name, offset).map_or(0, |place| place.path.len());
        }
    }
    total += image.section(".debug_info").map_or(0, |(_, bytes)| bytes.len());
    total += image.warnings().len();
    total > 0
}

fn ask(image: &Image, va: u64) -> usize {
    let function = image.function_at(va).map_or(0, |(name, _)| image::short_name(&name).len());
    let object = image.object_at(va).map_or(0, |place| place.path.len());
    function + object + image.frames(va).len()
}
