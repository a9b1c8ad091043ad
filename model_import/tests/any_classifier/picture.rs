//! A picture of coarse noise as a bitmap: no decoder can read it in two ways, and its short side is
//! the profile's, so that it is not resized.

use crate::mobile;

const WIDTH: usize = 150;
const HEIGHT: usize = 110;
/// Blocks of ten pixels, so that a convolution sees edges and areas.
const BLOCK: usize = 10;
/// Which noise it is; the network's weights have the seeds from 0.
const SEED: u32 = 1000;
/// Bytes before the pixels: a file header of 14 and a `BITMAPINFOHEADER` of 40.
const HEADERS: usize = 54;

/// The file: 24 bits a pixel, rows from the bottom up, each filled to a multiple of four bytes.
pub(crate) fn noise() -> Vec<u8> {
    let across = WIDTH / BLOCK;
    let levels: Vec<u8> = mobile::noise(SEED, across * (HEIGHT / BLOCK) * 3)
        .map(|number| (number >> 24) as u8)
        .collect();
    let row_bytes = (WIDTH * 3).next_multiple_of(4);
    let mut file = headers(HEADERS + row_bytes * HEIGHT);
    for row in (0..HEIGHT).rev() {
        for column in 0..WIDTH {
            let at = (row / BLOCK * across + column / BLOCK) * 3;
            file.extend([levels[at + 2], levels[at + 1], levels[at]]);
        }
        file.extend(vec![0; row_bytes - WIDTH * 3]);
    }
    file
}

fn headers(file_bytes: usize) -> Vec<u8> {
    let long = |number: usize| (number as u32).to_le_bytes();
    let mut bytes = b"BM".to_vec();
    for number in [file_bytes, 0, HEADERS, 40, WIDTH, HEIGHT] {
        bytes.extend(long(number));
    }
    // One plane of 24 bits; not compressed, no palette.
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    bytes
}
