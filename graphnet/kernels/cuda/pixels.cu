// Batches of images that are kept as bytes, (N, C, H, W): gathered, cropped, mirrored, scaled.
//
// The example at `position` of an epoch takes three words of the counter that belongs to it: where
// its crop begins along both axes of the padded image, and whether it is mirrored.

// One of `count` numbers, by a word.
__device__ inline Int one_of(unsigned word, Int count) {
    return (Int)(((Word)word * (Word)count) >> 32);
}

KERNEL gather_pixels(const unsigned char* images, const Int* chosen, const float* mean,
                     const float* std, T* y, Int size, Int channels, Int height, Int width,
                     Int padding, Int mirrors, Int key, Int counter) {
    for (Int at = FIRST; at < size; at += STRIDE) {
        Int column = at % width, row = at / width % height;
        Int c = at / width / height % channels, n = at / width / height / channels;
        Words words = philox((Word)key, (Word)counter + (Word)n);
        if (mirrors && words.word[2] >> 31) column = width - 1 - column;
        row += one_of(words.word[0], 2 * padding + 1) - padding;
        column += one_of(words.word[1], 2 * padding + 1) - padding;
        // what lies beyond the image is the mean, which is scaled to 0
        float value = 0;
        if (row >= 0 && row < height && column >= 0 && column < width) {
            Int from = ((chosen[n] * channels + c) * height + row) * width + column;
            value = ((float)images[from] - mean[c]) / std[c];
        }
        y[at] = narrowed(value);
    }
}
