//! `--device flex | wgpu:0 | cuda:1 | auto` to a burn device, and the list of what there is.
//!
//! The only file that asks which backends are compiled in. Must not know: models, images.

use std::fmt;
use std::panic::catch_unwind;
use std::str::FromStr;

use burn::tensor::{Device, DeviceType};
use thiserror::Error;

#[cfg(not(any(
    feature = "flex",
    feature = "wgpu",
    feature = "vulkan",
    feature = "metal",
    feature = "cuda",
    feature = "rocm",
    feature = "tch"
)))]
compile_error!(
    "no burn backend is chosen: build with the default features, or with one or more of \
     --features flex,wgpu,vulkan,metal,cuda,rocm,tch"
);

/// A kind of device, whether compiled in or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The processor, through burn's pure Rust backend.
    Flex,
    /// Any GPU that the system's graphics interface reaches.
    Wgpu,
    /// A GPU through Vulkan and SPIR-V.
    Vulkan,
    /// An Apple GPU.
    Metal,
    /// An NVIDIA GPU.
    Cuda,
    /// An AMD GPU.
    Rocm,
    /// The processor, through LibTorch.
    Tch,
}

impl Backend {
    /// Every backend, the ones that `auto` prefers first.
    pub const ALL: [Self; 7] = [
        Self::Cuda,
        Self::Rocm,
        Self::Metal,
        Self::Vulkan,
        Self::Wgpu,
        Self::Flex,
        Self::Tch,
    ];

    /// The backend's name on the command line and as a Cargo feature.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Cuda => "cuda",
            Self::Rocm => "rocm",
            Self::Tch => "tch",
        }
    }

    /// Whether this build contains the backend.
    #[must_use]
    pub fn is_compiled_in(self) -> bool {
        self.filter().is_some()
    }

    /// burn's own name for the backend, if it is compiled in.
    fn filter(self) -> Option<DeviceType> {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => Some(DeviceType::Flex),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Some(DeviceType::Wgpu),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => Some(DeviceType::Vulkan),
            #[cfg(feature = "metal")]
            Self::Metal => Some(DeviceType::Metal),
            #[cfg(feature = "cuda")]
            Self::Cuda => Some(DeviceType::Cuda),
            #[cfg(feature = "rocm")]
            Self::Rocm => Some(DeviceType::Rocm),
            #[cfg(feature = "tch")]
            Self::Tch => Some(DeviceType::LibTorch),
            #[cfg(not(all(
                feature = "flex",
                feature = "wgpu",
                feature = "vulkan",
                feature = "metal",
                feature = "cuda",
                feature = "rocm",
                feature = "tch"
            )))]
            _ => None,
        }
    }

    /// The backend's devices on this machine, in the order of their numbers. A driver that is
    /// missing or broken means none.
    fn devices(self) -> Vec<Device> {
        let Some(filter) = self.filter() else {
            return Vec::new();
        };
        // Drivers are loaded here, and burn's loaders panic where there is none.
        catch_unwind(|| Device::enumerate(filter).into_iter().collect()).unwrap_or_default()
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What `--device` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DeviceChoice {
    /// The first GPU found by any compiled backend, else the processor.
    #[default]
    Auto,
    /// One device by backend and number.
    Numbered {
        /// The backend.
        backend: Backend,
        /// Position among the backend's devices, as `beagle devices` lists them.
        index: usize,
    },
}

/// A device that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DeviceError {
    /// The text is not a device.
    #[error(
        "'{0}' is not a device: say auto, flex, wgpu:0, vulkan:0, metal:0, cuda:0, rocm:0 or tch"
    )]
    NotADevice(String),
    /// The backend was left out of this build.
    #[error(
        "this build has no {0} backend: build again with --features {0}; `beagle devices` lists what it has"
    )]
    NotCompiledIn(Backend),
    /// There is no such device here.
    #[error(
        "there is no {backend}:{index} on this machine, which has {found} {backend} device(s): `beagle devices` lists them; a missing driver shows as none"
    )]
    NotFound {
        /// The backend.
        backend: Backend,
        /// The number asked for.
        index: usize,
        /// How many there are.
        found: usize,
    },
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let (name, number) = text.split_once(':').unwrap_or((text, "0"));
        let backend = Backend::ALL
            .into_iter()
            .find(|backend| backend.name() == name);
        match (backend, number.parse()) {
            (Some(backend), Ok(index)) => Ok(Self::Numbered { backend, index }),
            _ => Err(DeviceError::NotADevice(text.to_owned())),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Numbered { backend, index } => write!(f, "{backend}:{index}"),
        }
    }
}

/// A device of this machine.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its backend.
    pub backend: Backend,
    /// Its number within the backend.
    pub index: usize,
    /// The part's name as the driver gives it, or what burn calls it.
    pub description: String,
    /// Whether it only pretends to be a GPU (a software renderer).
    pub software: bool,
    /// burn's handle.
    pub device: Device,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} ({})", self.backend, self.index, self.description)
    }
}

/// Every device that this build can use on this machine. Opens each of them.
#[must_use]
pub fn all() -> Vec<Found> {
    Backend::ALL.into_iter().flat_map(of).collect()
}

/// Finds the device that was asked for.
///
/// # Errors
/// [`DeviceError::NotCompiledIn`] or [`DeviceError::NotFound`].
pub fn find(choice: DeviceChoice) -> Result<Found, DeviceError> {
    match choice {
        DeviceChoice::Auto => Ok(automatic()),
        DeviceChoice::Numbered { backend, .. } if !backend.is_compiled_in() => {
            Err(DeviceError::NotCompiledIn(backend))
        }
        DeviceChoice::Numbered { backend, index } => {
            let mut devices = of(backend);
            if index < devices.len() {
                Ok(devices.swap_remove(index))
            } else {
                Err(DeviceError::NotFound {
                    backend,
                    index,
                    found: devices.len(),
                })
            }
        }
    }
}

/// The first real GPU, else the processor, else whatever there is.
fn automatic() -> Found {
    let devices = all();
    let gpu =
        |found: &&Found| !found.software && !matches!(found.backend, Backend::Flex | Backend::Tch);
    let processor = |found: &&Found| matches!(found.backend, Backend::Flex | Backend::Tch);
    let best = devices
        .iter()
        .find(gpu)
        .or_else(|| devices.iter().find(processor));
    best.or(devices.first()).cloned().unwrap_or_else(|| {
        // A build whose only backend finds nothing: burn's default device says why when used.
        let backend = Backend::ALL
            .into_iter()
            .find(|backend| backend.is_compiled_in());
        Found {
            backend: backend.unwrap_or(Backend::Flex),
            index: 0,
            description: "none found".to_owned(),
            software: false,
            device: Device::default(),
        }
    })
}

/// Whether the device is the processor through burn's pure Rust backend.
#[cfg(feature = "flex")]
pub(crate) fn is_flex(device: &Device) -> bool {
    *device == Device::flex()
}

#[cfg(not(feature = "flex"))]
pub(crate) fn is_flex(_: &Device) -> bool {
    false
}

fn of(backend: Backend) -> Vec<Found> {
    let devices = backend.devices().into_iter().enumerate();
    devices
        .map(|(index, device)| {
            let description = describe(backend, &device);
            Found {
                backend,
                index,
                software: is_software(&description),
                description,
                device,
            }
        })
        .collect()
}

fn describe(backend: Backend, device: &Device) -> String {
    match backend {
        Backend::Flex => "this machine's processor".to_owned(),
        Backend::Tch => "this machine's processor, through LibTorch".to_owned(),
        _ => named(device).unwrap_or_else(|| format!("{device:?}")),
    }
}

/// The part's name as its driver tells it.
#[cfg(any(
    feature = "wgpu",
    feature = "vulkan",
    feature = "metal",
    feature = "cuda",
    feature = "rocm"
))]
fn named(device: &Device) -> Option<String> {
    catch_unwind(|| device.identity().map(|identity| identity.name))
        .ok()
        .flatten()
}

#[cfg(not(any(
    feature = "wgpu",
    feature = "vulkan",
    feature = "metal",
    feature = "cuda",
    feature = "rocm"
)))]
fn named(_: &Device) -> Option<String> {
    None
}

/// Mesa's and Microsoft's software renderers by the names they report.
fn is_software(description: &str) -> bool {
    ["llvmpipe", "lavapipe", "swiftshader", "basic render"]
        .iter()
        .any(|name| description.to_lowercase().contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_people_write_them() {
        let numbered = |backend, index| Ok(DeviceChoice::Numbered { backend, index });
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("flex".parse::<DeviceChoice>(), numbered(Backend::Flex, 0));
        assert_eq!("cuda:1".parse::<DeviceChoice>(), numbered(Backend::Cuda, 1));
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "flex:0:0"] {
            let error = DeviceError::NotADevice(wrong.to_owned());
            assert_eq!(wrong.parse::<DeviceChoice>(), Err(error));
        }
    }

    #[test]
    fn a_device_prints_as_it_is_written() {
        for text in ["auto", "wgpu:0", "cuda:3"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
    }

    #[cfg(feature = "flex")]
    #[test]
    fn the_processor_is_always_there_and_only_once() {
        let flex = |index| DeviceChoice::Numbered {
            backend: Backend::Flex,
            index,
        };
        assert_eq!(find(flex(0)).unwrap().backend, Backend::Flex);
        let error = find(flex(1)).unwrap_err().to_string();
        assert!(
            error.contains("no flex:1") && error.contains("has 1"),
            "{error}"
        );
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_backend_left_out_is_named_with_the_feature_that_brings_it() {
        let choice = "cuda:0".parse().unwrap();
        let error = find(choice).unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
