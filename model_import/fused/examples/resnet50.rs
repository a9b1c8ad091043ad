//! Images a second of ResNet50 with random weights, and where the time goes.
//!
//! `resnet50 [--precision f32|bf16|int8] [--level avx512] [--plain] [--direct] [--images N] [--large BYTES] [--layers] [--threads N] [--batch N]`

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::collections::HashMap;
use std::time::Instant;

use fused::{
    Activation, Convolution, Engine, Layer, Normalise, Operation, Options, Plan, Pool, Precision,
    Range, Ranges, Shape, WeightLayout, Winograd,
};

type Named = HashMap<String, (Vec<usize>, Vec<f32>)>;

/// A plan under construction.
struct Network {
    plan: Plan,
    weights: Named,
    random: fastrand::Rng,
}

impl Network {
    fn push(&mut self, input: usize, operation: Operation) -> usize {
        self.plan.layers.push(Layer { input, operation });
        self.plan.layers.len()
    }

    fn convolution(
        &mut self,
        input: usize,
        (inputs, outputs): (usize, usize),
        (kernel, stride): (usize, usize),
        residual: Option<usize>,
        activation: Activation,
    ) -> usize {
        let name = format!("{}", self.plan.layers.len());
        let count = outputs * inputs * kernel * kernel;
        let scale = 2.0 / ((inputs * kernel * kernel) as f32).sqrt();
        let numbers = (0..count)
            .map(|_| (self.random.f32() - 0.5) * scale)
            .collect();
        let shape = vec![outputs, inputs, kernel, kernel];
        self.weights.insert(name.clone(), (shape, numbers));
        let layer = Convolution {
            weights: name,
            weight_layout: WeightLayout::Oihw,
            bias: None,
            outputs,
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1, 1],
            padding: [kernel / 2; 4],
            groups: 1,
            residual,
            activation,
        };
        self.push(input, Operation::Convolution(layer))
    }
}

fn resnet50() -> Network {
    let input = Shape {
        height: 224,
        width: 224,
        channels: 3,
    };
    let mut network = Network {
        plan: Plan {
            input,
            layers: Vec::new(),
        },
        weights: Named::new(),
        random: fastrand::Rng::with_seed(1),
    };
    let n = &mut network;
    let relu = Activation::Relu;
    let pool = |kernel, stride, padding| Pool {
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 4],
        count_padding: false,
    };
    let mut last = n.convolution(0, (3, 64), (7, 2), None, relu);
    last = n.push(last, Operation::MaxPool(pool(3, 2, 1)));
    let mut channels = 64;
    for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        let inner = 64 << stage;
        for block in 0..blocks {
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            let (start, outer) = (last, inner * 4);
            let short = if block == 0 {
                n.convolution(
                    start,
                    (channels, outer),
                    (1, stride),
                    None,
                    Activation::None,
                )
            } else {
                start
            };
            last = n.convolution(start, (channels, inner), (1, stride), None, relu);
            last = n.convolution(last, (inner, inner), (3, 1), None, relu);
            last = n.convolution(last, (inner, outer), (1, 1), Some(short), relu);
            channels = outer;
        }
    }
    last = n.push(last, Operation::AveragePool(pool(7, 1, 0)));
    last = n.convolution(last, (2048, 1000), (1, 1), None, Activation::None);
    n.push(last, Operation::Softmax);
    network
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let mut options = Options::new(Precision::F32, 2);
    let (mut layers, mut threads, mut batches) = (false, vec![1, 2], vec![1, 8, 32]);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("a value");
        match argument.as_str() {
            "--precision" => {
                options.precision = match value().as_str() {
                    "f32" => Precision::F32,
                    "bf16" => Precision::Bf16,
                    "int8" => Precision::Int8,
                    other => panic!("{other} is not a precision"),
                }
            }
            "--plain" => options.dots = false,
            "--level" => options.level = value().parse().expect("a level"),
            "--images" => options.images = value().parse().expect("a number"),
            "--large" => options.large = value().parse().expect("a number"),
            "--threads" => threads = vec![value().parse().expect("a number")],
            "--batch" => batches = vec![value().parse().expect("a number")],
            "--layers" => layers = true,
            "--direct" => options.winograd = Winograd::Never,
            other => panic!("{other} is not known"),
        }
    }
    let network = resnet50();
    let normalise = Normalise {
        order: [0, 1, 2],
        factor: [0.017; 3],
        offset: [2.0; 3],
    };
    let pixels: Vec<u8> = (0..32 * 224 * 224 * 3)
        .map(|i| (i * 7919 % 251) as u8)
        .collect();
    let plan = &network.plan;
    let ranges = ranges(&network, &normalise, &pixels[..2 * 224 * 224 * 3]);
    for &threads in &threads {
        options.threads = threads;
        let built = Engine::new(plan, &network.weights, &normalise, Some(&ranges), &options);
        let mut engine = built.expect("an engine");
        let mut scores = Vec::new();
        for &batch in &batches {
            let pixels = &pixels[..batch * 224 * 224 * 3];
            let times = (0..(64 / batch).clamp(4, 16)).map(|_| {
                let start = Instant::now();
                engine
                    .run_levels(pixels, &mut scores)
                    .expect("whole images");
                start.elapsed().as_secs_f64()
            });
            let times: Vec<f64> = times.skip(1).collect();
            let best = times.iter().copied().fold(f64::MAX, f64::min);
            println!(
                "{:?} {} {threads} threads, batch {batch}: median {:.1} best {:.1} images/s",
                options.precision,
                options.level,
                batch as f64 / median(times),
                batch as f64 / best,
            );
            if layers {
                profile(&mut engine, plan, pixels, &mut scores);
            }
        }
    }
}

/// The least and the largest number of every value on some images.
fn ranges(network: &Network, normalise: &Normalise, pixels: &[u8]) -> Ranges {
    let options = Options::new(Precision::F32, 2);
    let built = Engine::new(&network.plan, &network.weights, normalise, None, &options);
    let mut engine = built.expect("an engine");
    let range = Range {
        low: 0.0,
        high: 0.0,
    };
    let mut values = vec![range; network.plan.layers.len() + 1];
    let see = &mut |value: usize, _, numbers: &[f32]| {
        for &number in numbers {
            let range = &mut values[value];
            range.low = range.low.min(number);
            range.high = range.high.max(number);
        }
    };
    engine.observe(pixels, see).expect("whole images");
    Ranges {
        values,
        ..Ranges::default()
    }
}

/// Prints the shortest time of every layer, for other programs disturb single rounds.
fn profile(engine: &mut Engine, plan: &Plan, pixels: &[u8], scores: &mut Vec<f32>) {
    let shapes = plan.shapes().expect("a right plan");
    let images = (pixels.len() / shapes[0].elements()) as f64;
    let rounds: Vec<Vec<f64>> = (0..15)
        .map(|_| {
            let times = engine.profile(pixels, scores).expect("whole images");
            times.iter().map(std::time::Duration::as_secs_f64).collect()
        })
        .collect();
    let peak = engine.peak();
    println!("register-only peak: {:.0} GOP/s on all threads", peak / 1e9);
    let mut total = 0.0;
    for (index, layer) in plan.layers.iter().enumerate() {
        let times = rounds.iter().map(|round| round[index]);
        let time = times.fold(f64::MAX, f64::min) / images;
        total += time;
        let (from, to) = (shapes[layer.input], shapes[index + 1]);
        let mut line = format!(
            "{index:3} {:12} {:3}x{:<3} {:4} -> {:4}",
            layer.operation.name(),
            to.height,
            to.width,
            from.channels,
            to.channels,
        );
        if let Operation::Convolution(c) = &layer.operation {
            let operations = 2 * to.elements() * from.channels * c.kernel[0] * c.kernel[1];
            let rate = operations as f64 / time;
            line += &format!(
                " {}x{} /{} {} {:7.1} GOP/s {:3.0} %",
                c.kernel[0],
                c.kernel[1],
                c.stride[0],
                if c.residual.is_some() { "+" } else { " " },
                rate / 1e9,
                rate / peak * 100.0
            );
        }
        println!("{line} {:7.3} ms", time * 1e3);
    }
    println!("sum {:.2} ms an image", total * 1e3);
}
