// Dropout by counters: entry i takes word i % 4 of the counter that begins at counter + i / 4.

__device__ inline T dropped(T x, unsigned word, float probability, float factor) {
    return narrowed(uniform(word) >= probability ? widened(x) * factor : widened(x) * 0.0f);
}

KERNEL dropout(const T* x, const Word* key, const Word* counter, T* y, Int size,
                        double probability) {
    float factor = (float)(1 / (1 - probability));
    for (Int quad = FIRST; quad * 4 < size; quad += STRIDE) {
        Words words = philox(key[0], counter[0] + (Word)quad);
        for (Int at = quad * 4; at < size && at < quad * 4 + 4; ++at)
            y[at] = dropped(x[at], words.word[at % 4], (float)probability, factor);
    }
}

// The renewed state, and a copy of the one that was used, for the way back.
KERNEL advance(const Word* key, const Word* counter, Word* new_key, Word* new_counter,
                        Word* used, Int draws) {
    used[0] = key[0];
    used[1] = counter[0];
    new_key[0] = used[0];
    new_counter[0] = used[1] + (Word)draws;
}
