"""Functions that a printed program defines because NumPy lacks them. Each uses only NumPy."""

HELPERS: dict[str, tuple[tuple[str, ...], str]] = {}
"""By name: the helpers that a helper needs, and its text"""

HELPERS["flush"] = (
    (),
    '''
def flush(x):
    """x with negligible entries rounded to zero, so that none is subnormal (and slow)."""
    shift = float(np.finfo(x.dtype).tiny) / float(np.finfo(x.dtype).eps) ** 2
    return (x + shift) - shift
''',
)
HELPERS["settle"] = (
    ("flush",),
    '''
def settle(x, step):
    """x, flushed at every 32nd step: a running average must not decay into subnormal numbers."""
    return flush(x) if step % 32 == 0 else x
''',
)
HELPERS["norm"] = (
    (),
    '''
def norm(*arrays):
    """The Euclidean norm of all arrays together, summed in float64."""
    with np.errstate(over="ignore"):
        total = float(np.sqrt(sum(float(np.sum(np.square(x, dtype=np.float64))) for x in arrays)))
    if not np.isinf(total):
        return total
    largest = max((float(np.max(np.abs(x), initial=0.0)) for x in arrays), default=0.0)
    return total if np.isinf(largest) else largest * norm(*(x / largest for x in arrays))
''',
)
HELPERS["reciprocal"] = (
    (),
    '''
def reciprocal(number):
    """1 / number, or 0 if the number is 0."""
    return 1.0 / number if number else 0.0
''',
)
HELPERS["fold"] = (
    (),
    '''
def blake2b(message, key):
    """The first 24 bytes of BLAKE2b (RFC 7693) of a short message under a short key."""
    start = [0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
             0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179]
    order = ("0123456789abcdef ea489fd61c02b753 b8c052fdae367194 7931dcbe265a40f8 905724afe1bc683d "
             "2c6a0b834d75fe19 c51fed4a0763928b db7ec13950f4862a 6fe9b308c2d714a5 a2847615fb9e3cd0")
    turned = lambda x, n: (x >> n | x << 64 - n) % 2**64
    h = [start[0] ^ 0x01010018 ^ len(key) << 8, *start[1:]]
    data = key.ljust(128, b"\\0") + message
    for end in range(128, len(data) + 128, 128):
        words = [int.from_bytes(data[i : i + 8], "little") for i in range(end - 128, end, 8)]
        v = h + start
        v[12] ^= min(end, len(data))
        v[14] ^= 2**64 - 1 if end >= len(data) else 0
        for turn in range(12):
            letters = iter(order.split()[turn % 10])
            for i in range(8):  # the columns of four words each, then their diagonals
                a, b, c, d = (4 * row + (i + row * (i > 3)) % 4 for row in range(4))
                for first, second in ((32, 24), (16, 63)):
                    v[a] = (v[a] + v[b] + words[int(next(letters), 16)]) % 2**64
                    v[d] = turned(v[d] ^ v[a], first)
                    v[c] = (v[c] + v[d]) % 2**64
                    v[b] = turned(v[b] ^ v[c], second)
        h = [h[i] ^ v[i] ^ v[i + 8] for i in range(8)]
    return b"".join(word.to_bytes(8, "little") for word in h[:3])


def fold(key, *path):
    """The key (24 bytes) at a path of strings and integers below a key."""
    for step in path:
        named = isinstance(step, str)
        text = b"s%d:%b" % (len(step.encode()), step.encode()) if named else b"i%d:" % step
        key = blake2b(text, key)
    return key
''',
)
HELPERS["bits"] = (
    (),
    '''
def bits(key, shape, dtype=np.uint64):
    """Random unsigned integers: the stream of SFC64 seeded with a key."""
    dtype, count = np.dtype(dtype), int(np.prod(shape, dtype=np.int64))
    generator = np.random.SFC64()
    state = np.array([*np.frombuffer(key, "<u8"), 1], np.uint64)
    generator.state = {**generator.state, "state": {"state": state}}
    words = generator.random_raw(12 + -(-count * dtype.itemsize // 8))[12:]
    return words.view(dtype)[:count].reshape(shape)
''',
)
HELPERS["kept"] = (
    ("fold", "bits"),
    '''
def kept(key, shape, rate):
    """True with probability 1 - rate, rounded to a multiple of 2**-16."""
    return bits(key, shape, np.uint16) >= round(rate * 65536)
''',
)
HELPERS["rotate"] = (
    (),
    '''
def rotate(x, cos, sin):
    """The two halves (a, b) of the features, turned to (a cos - b sin, b cos + a sin)."""
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
''',
)
HELPERS["leaves"] = (
    (),
    '''
def leaves(tree):
    """The arrays of nested dicts, by name."""
    if not isinstance(tree, dict):
        return [tree]
    return [leaf for name in sorted(tree) for leaf in leaves(tree[name])]
''',
)
HELPERS["each_leaf"] = (
    (),
    '''
def each_leaf(f, tree, *others):
    """f of every array of nested dicts, and of numbers; a dict for each result of f."""
    if not isinstance(tree, dict):
        return f(tree, *others)
    at = lambda other, name: other[name] if isinstance(other, dict) else other
    found = {name: each_leaf(f, tree[name], *(at(each, name) for each in others)) for name in tree}
    first = next(iter(found.values()))
    if not isinstance(first, tuple):
        return found
    return tuple({name: found[name][i] for name in found} for i in range(len(first)))
''',
)
EACH_LEAF = '''
def each_leaf(f, tree, *others):
    """f of every array of nested dicts."""
    if not isinstance(tree, dict):
        return f(tree, *others)
    return {name: each_leaf(f, tree[name], *(other[name] for other in others)) for name in tree}
'''
"""The loop over arrays for functions with one result"""

HELPERS["uniform"] = (
    ("bits",),
    '''
def uniform(key, shape, dtype=np.float64, low=0.0, high=1.0):
    """Random floats in [low, high)."""
    unit = (bits(key, shape) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    floats = np.asarray(low + (high - low) * unit, dtype)
    return np.minimum(floats, np.nextafter(floats.dtype.type(high), floats.dtype.type(low)))
''',
)
HELPERS["normal"] = (
    ("uniform",),
    '''
def normal(key, shape, dtype=np.float64):
    """Standard normal floats, by the Box-Muller transform."""
    count = int(np.prod(shape, dtype=np.int64))
    u, v = uniform(key, (2, -(-count // 2)))
    radius, angle = np.sqrt(-2.0 * np.log1p(-u)), 2.0 * np.pi * v
    pairs = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    return pairs[:count].reshape(shape).astype(dtype)
''',
)
HELPERS["check"] = (
    (),
    '''
def check(*_):
    """Raise the error for a value out of range."""
    raise ValueError("a value is out of range: a label, or a probability")
''',
)
