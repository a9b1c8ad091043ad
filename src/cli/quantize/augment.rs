//! More pictures of one photo: nearer, mirrored, lighter or darker.
//!
//! Pure: the same number always gives the same picture. A nearer view is a photo that was fitted to
//! a larger input, of which a window of the real input's size is cut out. Must not know: files,
//! networks.

use model_import::profile::{Fit, Geometry};

/// How much larger than the input a photo is fitted, in eighths.
const ZOOMS: [u32; 4] = [8, 9, 11, 14];
/// The brightness of the darkest and of the brightest picture.
const BRIGHTNESS: (f32, f32) = (0.6, 1.4);

/// One way to look at a photo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct View {
    zoom: u32,
    /// Where the window lies, of what is left beside it: 0 is left or top, 1 is right or bottom.
    at: (f32, f32),
    mirrored: bool,
    brightness: f32,
}

impl View {
    /// The photo as it is.
    pub(super) const PLAIN: Self = Self {
        zoom: ZOOMS[0],
        at: (0.0, 0.0),
        mirrored: false,
        brightness: 1.0,
    };

    /// The view of that number.
    pub(super) fn numbered(number: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(number);
        let (darkest, brightest) = BRIGHTNESS;
        Self {
            zoom: ZOOMS[random.usize(..ZOOMS.len())],
            at: (random.f32(), random.f32()),
            mirrored: random.bool(),
            brightness: darkest + random.f32() * (brightest - darkest),
        }
    }

    /// What a photo is fitted to before the window is cut out. Views with the same one can share it.
    pub(super) fn geometry(&self, input: &Geometry) -> Geometry {
        let zoomed = |side: u32| (side * self.zoom).div_ceil(ZOOMS[0]);
        Geometry {
            width: zoomed(input.width),
            height: zoomed(input.height),
            fit: match input.fit {
                Fit::Stretch => Fit::Stretch,
                Fit::CentreCrop { short_side } => Fit::CentreCrop {
                    short_side: zoomed(short_side),
                },
            },
            filter: input.filter,
        }
    }

    /// The picture, of a photo that was fitted to [`View::geometry`] of `input`.
    pub(super) fn of(&self, photo: &[u8], input: &Geometry) -> Vec<u8> {
        let around = self.geometry(input);
        let (width, height) = (input.width as usize, input.height as usize);
        let (whole, tall) = (around.width as usize, around.height as usize);
        let start = |room: usize, part: f32| (room as f32 * part).round() as usize;
        let left = start(whole - width, self.at.0);
        let top = start(tall - height, self.at.1);
        let level = |level: u8| (f32::from(level) * self.brightness).round().min(255.0) as u8;
        let mut picture = Vec::with_capacity(input.pixel_bytes());
        for row in photo.chunks_exact(whole * 3).skip(top).take(height) {
            let pixels = row[left * 3..(left + width) * 3].chunks_exact(3);
            if self.mirrored {
                picture.extend(pixels.rev().flatten().map(|&each| level(each)));
            } else {
                picture.extend(pixels.flatten().map(|&each| level(each)));
            }
        }
        picture
    }
}

#[cfg(test)]
mod tests {
    use model_import::profile::Filter;

    use super::*;

    fn input(width: u32, height: u32) -> Geometry {
        Geometry {
            width,
            height,
            fit: Fit::CentreCrop { short_side: 16 },
            filter: Filter::Bilinear,
        }
    }

    /// A photo whose red is the column, green the row.
    fn photo(geometry: &Geometry) -> Vec<u8> {
        let rows = 0..geometry.height as u8;
        rows.flat_map(|row| (0..geometry.width as u8).flat_map(move |column| [column, row, 100]))
            .collect()
    }

    #[test]
    fn the_plain_view_is_the_photo() {
        let input = input(4, 3);
        assert_eq!(View::PLAIN.geometry(&input), input);
        assert_eq!(View::PLAIN.of(&photo(&input), &input), photo(&input));
    }

    #[test]
    fn a_window_is_cut_out_mirrored_and_made_lighter() {
        let input = input(8, 8);
        let view = View {
            zoom: 11,
            at: (1.0, 0.0),
            mirrored: true,
            brightness: 1.2,
        };
        let around = view.geometry(&input);
        assert_eq!((around.width, around.height), (11, 11));
        assert_eq!(around.fit, Fit::CentreCrop { short_side: 22 });
        let picture = view.of(&photo(&around), &input);
        assert_eq!(picture.len(), input.pixel_bytes());
        assert_eq!(
            picture[..6],
            [12, 0, 120, 11, 0, 120],
            "columns 10 and 9 of row 0"
        );
        assert_eq!(
            picture[picture.len() - 3..],
            [4, 8, 120],
            "column 3 of row 7"
        );
    }

    #[test]
    fn the_same_number_is_the_same_view_and_every_view_fits() {
        let input = input(224, 7);
        let views: Vec<View> = (0..200).map(View::numbered).collect();
        let different = views.windows(2).filter(|two| two[0] != two[1]).count();
        assert_eq!(different, 199);
        for (number, view) in (0..).zip(views) {
            assert_eq!(view, View::numbered(number));
            let around = view.geometry(&input);
            let picture = view.of(&vec![9; around.pixel_bytes()], &input);
            assert_eq!(picture.len(), input.pixel_bytes());
        }
    }
}
