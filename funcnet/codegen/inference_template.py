"""The parts of a deployed program that do not depend on the network, as templates."""

from string import Template

ARRAY = Template('''
def prepare(raw):
    """The network's inputs for raw rows: $what."""
    x = np.asarray(raw)
    if x.dtype.kind not in "$kinds":
        raise ValueError(f"expected $numbers, got an array of {x.dtype}")
    if x.ndim == 0 or x.shape[1:] != SHAPE:
        hint = "; give a single row as raw[None]" if x.shape == SHAPE else ""
        raise ValueError(f"expected rows of shape {SHAPE}, got an array of shape {x.shape}{hint}")
$steps
''')

TABLE = Template('''
def prepare(table):
    """The network's inputs for a table, {column: values} or a list of rows, {column: value}: $what.

    Values are numbers or texts, as in the data; None, NaN and the texts in MISSING are missing values.
    """
    if isinstance(table, list):
        short = [(row, name) for row, values in enumerate(table) for name, *_ in COLUMNS if name not in values]
        if short:
            raise BadValue(short[0][0], f"has no value for {short[0][1]!r}; write None where one is missing")
        table = {name: [values[name] for values in table] for name, *_ in COLUMNS}
    lost = [name for name, *_ in COLUMNS if name not in table]
    if lost:
        raise ValueError(f"has no column {', '.join(map(repr, lost))}; it has {', '.join(table)}")
    if len({len(table[name]) for name, *_ in COLUMNS}) > 1:
        raise ValueError("expected columns of equal length")
    features = []
    for name, kind, categories, fill$part in COLUMNS:
        values = [filled(value, fill, name, row$part) for row, value in enumerate(table[name])]
        if kind == "number":
            numbers = [number(value, name, row) for row, value in enumerate(values)]
            features.append(np.array(numbers, np.float64)[:, None])
$categories    x = np.concatenate(features, axis=1)
$steps
''')
CATEGORIES = Template("""            continue
        texts = [str(value).strip() for value in values]
        at = positions(texts, categories)
        unknown = np.flatnonzero(at < 0)
        if len(unknown):
            first = texts[unknown[0]]
            log = logging.getLogger(__name__)
            log.warning("column %r: %d rows of an unknown $category, such as %r", name, len(unknown), ${given}first)
        if kind == "one_hot":  # 1 in the column of its category; all 0 for an unknown category
            features.append((at[:, None] == np.arange(len(categories))).astype(np.float64))
        else:  # "ordinal": the index of its category; -1 for an unknown category
            features.append(at[:, None].astype(np.float64))
""")
FILLED = Template('''
def filled(value, fill, name, row$part):
    """The value, or the replacement of a missing value."""
    gap = value is None or type(value).__name__ in ("NAType", "MaskedConstant")  # of pandas and of masked arrays
    missing = gap or value != value or str(value).strip() in MISSING  # NaN is not equal to itself
    if missing and fill is None:
        raise BadValue(row, f"column {name!r}: the value is missing; the training data had none missing here")
$dated    return fill if missing else value
''')
DATED = Template("""    if part is not None and not missing:
        text = str(value).strip()
        value = date_part(text, part)
        if value is None:
            raise BadValue(row, f"column {name!r}: expected $form, got {text!r}")
""")
NUMBER = '''
def number(value, name, row):
    """A finite number, from a number or a text."""
    found = to_number(value)
    if found is None:
        raise BadValue(row, f"column {name!r}: expected a number, got {value!r}")
    return found
'''
NUMBER_IN_FORM = NUMBER.replace("to_number(value)", "read_number(value, DECIMAL, THOUSANDS, MARKS.get(name, ''))")
BAD_VALUE = '''
class BadValue(ValueError):
    """A value that cannot be used, and its row, from 0."""

    def __init__(self, row, message):
        super().__init__(f"row {row}: {message}")
        self.row, self.message = row, message
'''
FINITE = """    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        raise BadValue(int(bad[0][0]), "expected finite numbers, got NaN or infinity")"""
NARROW = Template("""    with np.errstate(over="ignore"):
        x = x.astype($dtype)
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        raise BadValue(int(bad[0][0]), "expected numbers that $name can hold, and no NaN")
    return x""")

LOAD = '''
def load():
    """The trained weights, {path: array}, from the archive beside this file."""
    here = Path(__file__)
    path = here.with_suffix(".npz")
    if not path.exists():
        raise SystemExit(f"{path}: there is no such file; put the archive of the weights beside {here.name}")
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if str(arrays.pop("program", "")) != PROGRAM:
        raise SystemExit(f"{path}: is the archive of another program; write it and {here.name} together again")
    return arrays
'''

PREDICT = Template('''
def predict(raw):
    """$what."""
    x = prepare(raw)
    parts = [forward(WEIGHTS, x[start : start + CHUNK]) for start in range(0, max(len(x), 1), CHUNK)]
    y = np.ascontiguousarray(np.concatenate(parts))  # sums round by the order in memory
    return $result
''')
LABELS = Template('''
def labels(raw):
    """$what of each raw row, $shape."""
    return classes_of(predict(raw))


def classes_of(p):
    """$of_result of predict's result: $rule."""
    return $chosen
''')

READ_TABLE = Template('''
def read(path):
    """The raw rows of a CSV file as {column: texts}, and the line on which each begins."""
    names, rows, lines = read_csv(path, $delimiter, $header)
$unnamed    return {name: [row[i] for row in rows] for i, name in enumerate(names)}, lines
''')
UNNAMED = """    inputs = list(dict.fromkeys(name for name, *_ in COLUMNS))
    if len(names) == len(inputs) and any(name not in names for name in inputs):  # no targets either
        names = inputs
"""
READ_ARRAY = Template('''
def read(path):
    """The raw rows of an .npy file, or of a CSV file $columns, and the line of each."""
    if path.endswith(".npy"):
        return np.load(path, allow_pickle=False), None
    delimiter = "\\t" if path.endswith(".tsv") else ","
    names, rows, lines = read_csv(path, delimiter, header=False)
    order = range(len(names))
    if not all(map(is_number, rows[0])):  # the first row is a header
        names, rows, lines = read_csv(path, delimiter, header=True)
        order = $order
    if len(order) != $count:
        raise ValueError(f"expected $count columns of inputs, got {len(order)}")
    try:
        values = [[$cell for i in order] for row, cells in enumerate(rows)]
    except BadValue as error:
        raise ValueError(f"line {lines[error.row]}: {error.message}") from None
    return np.array(values).reshape(-1, *SHAPE), lines
''')
ORDER = '''
def order_of(names):
    """The positions of the features in a file with a header."""
    lost = [name for name in FEATURES if name not in names]
    if lost:
        raise ValueError(f"has no column {', '.join(map(repr, lost))}; it has {', '.join(names)}")
    return [names.index(name) for name in FEATURES]
'''

MAIN = Template('''
def answers(raw):
    """The predictions as rows of a table; the first row has the column names."""
$table


def main():
    """Predict for the raw rows of a file."""
    parser = argparse.ArgumentParser(description="Predict for raw rows with a trained network; the output is CSV.")
    parser.add_argument("rows", help="$help")
    parser.add_argument("--out", help="the file to write (default: print the predictions)")
    options = parser.parse_args()
    lines = None
    try:
        raw, lines = read(options.rows)
        text = io.StringIO()
        csv.writer(text, lineterminator="\\n").writerows(answers(raw))
        if options.out:
            Path(options.out).write_bytes(text.getvalue().encode())
        else:
            sys.stdout.reconfigure(encoding="utf-8", newline="")
            sys.stdout.write(text.getvalue())
    except BadValue as error:
        place = f"line {lines[error.row]}" if lines else f"row {error.row}"
        return f"{options.rows}: {place}: {error.message}"
    except UnicodeDecodeError:
        return f"{options.rows}: is not UTF-8 text"
    except (ValueError, csv.Error) as error:
        return f"{options.rows}: {error}"
    except OSError as error:
        return f"{error.filename or options.out}: {error.strerror}"
    return 0
''')
