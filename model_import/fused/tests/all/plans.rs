//! Random plans of each kind of layer.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use fused::{Activation, Convolution, Operation, Plan, Pool, Shape, WeightLayout};

use crate::naive::{Named, activation, convolution, push};

pub(crate) fn empty(random: &mut fastrand::Rng, channels: usize) -> Plan {
    let input = Shape {
        height: random.usize(1..20),
        width: random.usize(1..24),
        channels,
    };
    Plan {
        input,
        layers: Vec::new(),
    }
}

/// Channels of all kinds: few, odd, one panel, an odd number of half panels, more.
pub(crate) fn channels(random: &mut fastrand::Rng) -> usize {
    [1, 3, 4, 5, 16, 17, 32, 48, 64, 70][random.usize(..10)]
}

/// A convolution that fits `input`, of any kernel, stride, dilation and padding.
fn fitting(random: &mut fastrand::Rng, input: Shape, outputs: usize) -> Convolution {
    let mut layer = convolution(outputs, [1, 1]);
    for (axis, size) in [input.height, input.width].into_iter().enumerate() {
        let padding = [random.usize(0..3), random.usize(0..3)];
        layer.padding[axis] = padding[0];
        layer.padding[axis + 2] = padding[1];
        let padded = size + padding[0] + padding[1];
        layer.dilation[axis] = random.usize(1..4);
        layer.kernel[axis] = random.usize(1..=((padded - 1) / layer.dilation[axis] + 1).min(5));
        layer.stride[axis] = random.usize(1..4);
    }
    layer.activation = activation(random);
    layer
}

/// A convolution of any kind, one with a border that adds its output, and one that writes the scores:
/// floats, whatever the others write.
pub(crate) fn dense(random: &mut fastrand::Rng, round: usize, count: usize) -> (Plan, Named) {
    let (mut plan, mut weights) = (empty(random, count), Named::new());
    let outputs = channels(random);
    let first = if round.is_multiple_of(3) {
        convolution(outputs, [1, 1])
    } else {
        fitting(random, plan.input, outputs)
    };
    push(
        &mut plan,
        &mut weights,
        random,
        0,
        Operation::Convolution(first),
    );
    // The second reads a value with a border and adds the first's output.
    let shape = plan.shapes().unwrap()[1];
    let mut second = convolution(shape.channels, [3, 3]);
    second.padding = [1; 4];
    second.residual = Some(1);
    second.activation = activation(random);
    push(
        &mut plan,
        &mut weights,
        random,
        1,
        Operation::Convolution(second),
    );
    push(
        &mut plan,
        &mut weights,
        random,
        2,
        Operation::Convolution(convolution(5, [1, 1])),
    );
    (plan, weights)
}

/// Convolutions of single pixels, the last of which adds an earlier value.
pub(crate) fn pointwise(random: &mut fastrand::Rng, count: usize) -> (Plan, Named) {
    let (mut plan, mut weights) = (empty(random, count), Named::new());
    let layers = [channels(random), channels(random)];
    let outputs = channels(random);
    let a = convolution(layers[0], [1, 1]);
    let a = push(
        &mut plan,
        &mut weights,
        random,
        0,
        Operation::Convolution(a),
    );
    let b = convolution(outputs, [1, 1]);
    let b = push(
        &mut plan,
        &mut weights,
        random,
        a,
        Operation::Convolution(b),
    );
    let c = convolution(layers[1], [1, 1]);
    let c = push(
        &mut plan,
        &mut weights,
        random,
        b,
        Operation::Convolution(c),
    );
    let mut d = convolution(outputs, [1, 1]);
    d.residual = Some(b);
    d.activation = activation(random);
    push(
        &mut plan,
        &mut weights,
        random,
        c,
        Operation::Convolution(d),
    );
    (plan, weights)
}

/// Grouped convolutions, for even rounds depthwise, between two common ones.
pub(crate) fn grouped(random: &mut fastrand::Rng, round: usize, count: usize) -> (Plan, Named) {
    let (mut plan, mut weights) = (empty(random, count), Named::new());
    let mut add = |plan: &mut Plan, random: &mut fastrand::Rng, layer| {
        let input = plan.layers.len();
        push(
            plan,
            &mut weights,
            random,
            input,
            Operation::Convolution(layer),
        );
    };
    let groups = [2, 3, 5, 16, 24, 40][random.usize(..6)];
    let (inputs, outputs) = match round % 2 {
        0 => (1, 1),
        _ => (random.usize(1..5), random.usize(1..20)),
    };
    add(&mut plan, random, convolution(groups * inputs, [1, 1]));
    let mut layer = fitting(random, plan.input, groups * outputs);
    layer.groups = groups;
    add(&mut plan, random, layer);
    let mut layer = convolution(groups * outputs, [3, 3]);
    layer.padding = [1; 4];
    layer.groups = groups;
    layer.residual = Some(2);
    layer.activation = activation(random);
    add(&mut plan, random, layer);
    add(&mut plan, random, convolution(7, [1, 1]));
    (plan, weights)
}

/// A sum, pooling, an activation, a linear layer and softmax, after a convolution.
pub(crate) fn pooled(random: &mut fastrand::Rng, count: usize) -> (Plan, Named) {
    let (mut plan, mut weights) = (empty(random, count), Named::new());
    let mut add = |plan: &mut Plan, random: &mut fastrand::Rng, operation| {
        let input = plan.layers.len();
        push(plan, &mut weights, random, input, operation);
    };
    let stem = convolution(channels(random), [1, 1]);
    add(&mut plan, random, Operation::Convolution(stem));
    let sum = Operation::Add {
        other: 1,
        activation: activation(random),
    };
    add(&mut plan, random, sum);
    let input = plan.input;
    let kernel = [input.height, input.width].map(|size| random.usize(1..=size.min(4)));
    let pool = Pool {
        kernel,
        stride: [random.usize(1..3), random.usize(1..3)],
        padding: [kernel[0] - 1, kernel[1] - 1, 0, 0],
        count_padding: random.bool(),
    };
    let pool = match random.bool() {
        true => Operation::MaxPool(pool),
        false => Operation::AveragePool(pool),
    };
    add(&mut plan, random, pool);
    let silu = Activation::Silu;
    add(&mut plan, random, Operation::Activate { activation: silu });
    let shape = plan.shapes().unwrap()[4];
    let mut linear = convolution(random.usize(1..70), [shape.height, shape.width]);
    linear.weight_layout = WeightLayout::Io;
    add(&mut plan, random, Operation::Convolution(linear));
    add(&mut plan, random, Operation::Softmax);
    (plan, weights)
}
