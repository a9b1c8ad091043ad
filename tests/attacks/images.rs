//! Images that are small and unfold into more than any machine has.

use crate::bystanders::attack;
use crate::raw::{self, Raw};
use crate::server::Server;

/// What the server may have at most, in MiB.
const MEMORY: u64 = 320;
/// Side of an image of a gigapixel.
const GIGAPIXEL: u32 = 31_623;
/// Bytes that each bomb unfolds into.
const UNFOLDED: usize = 1_000_000_000;

/// Zeros, deflated as tightly as one can, with a zlib head: matches of 258 bytes at distance 1, 13
/// bits each. The checksum is wrong; whoever gets so far has unfolded it all.
fn bomb(bytes: usize) -> Vec<u8> {
    let mut packed = vec![0x78, 0x01];
    let (mut bits, mut count) = (0u64, 0);
    let mut put = |value: u64, width: u32| {
        bits |= value << count;
        count += width;
        while count >= 8 {
            packed.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            count -= 8;
        }
    };
    // The last block, of fixed codes; a literal 0 (00110000), then the matches: length code 285
    // (11000101), distance code 0 (00000), first bits first; the end of the block (0000000).
    put(0b011, 3);
    put(0b0000_1100, 8);
    for _ in 0..bytes / 258 {
        put(0b1010_0011, 8);
        put(0, 5);
    }
    put(0, 7);
    put(0, 7);
    packed.extend([0; 4]);
    packed
}

/// A chunk of a PNG file.
fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    let mut chunk = length.to_be_bytes().to_vec();
    chunk.extend_from_slice(kind);
    chunk.extend_from_slice(content);
    let sum = crc(&chunk[4..]);
    chunk.extend(sum.to_be_bytes());
    chunk
}

/// The CRC-32 of PNG.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

/// A grey PNG file of this side.
fn png(side: u32, before: &[u8], pixels: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(side.to_be_bytes());
    header.extend(side.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        &chunk(b"IHDR", &header),
        before,
        &chunk(b"IDAT", pixels),
        &chunk(b"IEND", &[]),
    ]
    .concat()
}

#[test]
fn small_files_that_unfold_are_refused_in_little_memory() {
    let mut server = Server::start();
    let addr = server.addr;
    let one = bomb(UNFOLDED);
    let profile = [b"a\0\0".as_slice(), &one].concat();
    // One pixel, deflated without packing: a filter byte and the pixel.
    let plain = [0x78, 1, 1, 2, 0, 0xfd, 0xff, 0, 0, 0, 2, 0, 1];
    let bombs = [
        ("a gigapixel", png(GIGAPIXEL, &[], &one)),
        ("a gigabyte behind a pixel", png(1, &[], &one)),
        (
            "a profile of a gigabyte",
            png(1, &chunk(b"iCCP", &profile), &plain),
        ),
        (
            "a text of a gigabyte",
            png(1, &chunk(b"zTXt", &profile[..]), &plain),
        ),
    ];
    attack("images that unfold", &mut server, None, || {
        for (name, file) in &bombs {
            assert!(file.len() < 8 << 20, "{name} has {} bytes", file.len());
            for _ in 0..5 {
                let kind = [("Content-Type", "image/png")];
                let told = raw::ask(addr, "POST /predict", &kind, file);
                assert!([200, 422].contains(&told.status), "{name}: {}", told.text());
            }
        }
        let gigapixel = &bombs[0].1;
        let told = raw::ask(
            addr,
            "POST /predict",
            &[("Content-Type", "image/png")],
            gigapixel,
        );
        assert_eq!(
            (told.status, told.code().as_str()),
            (422, "image_too_many_pixels")
        );
    });
    assert!(server.peak() < MEMORY);
}

#[test]
fn the_files_of_this_attack_are_png_but_for_their_size() {
    let server = Server::start();
    let plain = [0x78, 1, 1, 2, 0, 0xfd, 0xff, 0, 0, 0, 2, 0, 1];
    let kind = [("Content-Type", "image/png")];
    let told: Raw = raw::ask(server.addr, "POST /predict", &kind, &png(1, &[], &plain));
    assert_eq!(told.status, 200, "{}", told.text());
    // 255 rows of 256 bytes each, and the rest of a match.
    let told = raw::ask(
        server.addr,
        "POST /predict",
        &kind,
        &png(255, &[], &bomb(255 * 256 + 258)),
    );
    assert_eq!(told.status, 200, "{}", told.text());
}
