// A batch of images from a data set that lies on the card, each shifted and mirrored at random.
//
// images (M, C, H, W) of bytes or float, rows (N,): which of them; out (N, H, W, C) or
// (N, C, H, W).  Of the words of counter n, word 0 moves down, word 1 right, word 2 mirrors.
// What a shift leaves empty takes the value `fill` of the channel; out = (x - mean) * scale.

#ifndef PIXEL
#define PIXEL unsigned char
#endif

KERNEL gather(const PIXEL* images, const Int* rows, const Word* key, const Word* counter,
                       const float* mean, const float* scale, const float* fill, T* out,
                       Int examples, Int channels, Int height, Int width, Int border, Int flips,
                       Int last) {
    Int size = examples * channels * height * width;
    for (Int at = FIRST; at < size; at += STRIDE) {
        Int n, c, i, j;
        if (last) {
            c = at % channels, j = at / channels % width, i = at / channels / width % height;
        } else {
            j = at % width, i = at / width % height, c = at / width / height % channels;
        }
        n = at / (channels * height * width);
        Words words = philox(key[0], counter[0] + (Word)n);
        Word span = (Word)(2 * border + 1);
        Int row = i + (Int)(((Word)words.word[0] * span) >> 32) - border;
        Int mirrored = flips && words.word[2] >> 31;
        Int column = mirrored ? width - 1 - j : j;
        column += (Int)(((Word)words.word[1] * span) >> 32) - border;
        float value = fill[c];
        if (row >= 0 && row < height && column >= 0 && column < width)
            value = (float)images[((rows[n] * channels + c) * height + row) * width + column];
        out[at] = narrowed((value - mean[c]) * scale[c]);
    }
}

// The counter after a batch: one for each of its examples.
KERNEL advance(Word* counter, Int examples) { counter[0] += (Word)examples; }

// Labels of the batch.
KERNEL gather_labels(const Int* labels, const Int* rows, Int* out, Int examples) {
    for (Int at = FIRST; at < examples; at += STRIDE) out[at] = labels[rows[at]];
}
