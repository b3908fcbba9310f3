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
def prepare(table$counted):
    """The network's inputs for a table, {column: values} or a list of rows, {column: value}: $what.

    Values are numbers or texts, as in the data; None, NaN and the texts in MISSING are missing values.
    """
    if isinstance(table, list):
        short = [(row, name) for row, values in enumerate(table) for name, *_ in COLUMNS if name not in values]
        if short:
            raise BadValue(short[0][0], f"has no value for {short[0][1]!r}; write None where one is missing")
        table = {name: [values[name] for values in table] for name, *_ in COLUMNS}
    lost = [name for name in dict.fromkeys(name for name, *_ in COLUMNS) if name not in table]
    if lost:
        raise ValueError(f"has no column {', '.join(map(repr, lost))}; it has {', '.join(table)}")
    if len({len(table[name]) for name, *_ in COLUMNS}) > 1:
        raise ValueError("expected columns of equal length")
    features = []
$begin    for name, kind, categories, fill$part in COLUMNS:
        values = at_once(table[name], kind, fill$part)
        quick = values is not None
        if not quick:
            values = [filled(value, fill, name, row$part) for row, value in enumerate(table[name])]
        if kind == "number":
            numbers = values if quick else [number(value, name, row) for row, value in enumerate(values)]
            features.append(np.array(numbers, np.float64)[:, None])
$categories$end    x = np.concatenate(features, axis=1)
$steps
''')
CATEGORIES = Template("""            continue
        texts = values.tolist() if quick else [str(value).strip() for value in values]
        at = positions(texts, categories)
        unknown = np.flatnonzero(at < 0)
        if len(unknown) and kind != "frequent":
            count, first = counted.get((name, $kind), (0, texts[unknown[0]]))
            counted[name, $kind] = count + len(unknown), first
        if kind != "ordinal":  # 1 in the column of its category; all 0 for an unknown category, or a rare one
            features.append((at[:, None] == np.arange(len(categories))).astype(np.float64))
        else:  # "ordinal": the index of its category; -1 for an unknown category
            features.append(at[:, None].astype(np.float64))
""")
UNKNOWN_BEGIN = "    counted = {} if unknown_texts is None else unknown_texts\n"
UNKNOWN_END = "    if unknown_texts is None:\n        warn(counted)\n"
WARN = '''
def warn(counted):
    """Log the categories that the training data lacks, {(column, what it is): (rows, first text)}."""
    log = logging.getLogger(__name__)
    for (name, what), (count, first) in counted.items():
        log.warning("column %r: %d rows of an unknown %s, such as %r", name, count, what, first)
'''
AT_ONCE = Template('''
def at_once(values, kind, fill$part):
    """A column of texts in plain forms, all at once, the missing ones replaced; None for any other column."""
    if not isinstance(values, TextColumn):
        if set(map(type, values)) != {str}:
            return None
        values = list(map(str.strip, values))
$numbers    if ends_in_nul(values) is not None:
        return None
    gaps, found = gaps_of(values, MISSING), words_of(values, MISSING)
$days    if fill is None and gaps.any():
        return None
    return np.where(gaps, fill, found) if gaps.any() else found
''')
PLAIN_NUMBERS = """    if $test:
        found = numbers_of(values, MISSING)
        if found is None or (fill is None and np.isnan(found).any()):
            return None
        return found if fill is None else np.where(np.isnan(found), fill, found)
"""
NO_PLAIN_NUMBERS = """    if $test:
        return None  # numbers in the form that DECIMAL, THOUSANDS and MARKS say
"""
DAYS = """    if part is not None:
        days = days_of(found)
        if days is None:
            return None
        found = part_of_days(days, part)
"""
FILLED = Template('''
def filled(value, fill, name, row$part):
    """The value, or the replacement of a missing value."""
    gap = value is None or type(value).__name__ in ("NAType", "MaskedConstant")  # of pandas and of masked arrays
    missing = gap or value != value or str(value).strip() in MISSING  # NaN is not equal to itself
    if missing and fill is None:
        raise BadValue(row, f"column {name!r}: the value is missing; the training data had none missing here")
    if str(value).endswith("\\0"):
        raise BadValue(row, f"column {name!r}: expected a text, got {value!r:.60}; remove the NUL at its end")
$dated    return fill if missing else value
''')
DATED = Template("""    if part is not None and not missing:
        text = str(value).strip()
        value = date_part(text, part)
        if value is None:
            raise BadValue(row, f"column {name!r}: expected $form, got {text!r:.60}")
""")
NUMBER = '''
def number(value, name, row):
    """A finite number, from a number or a text."""
    found = to_number(value)
    if found is None:
        raise BadValue(row, f"column {name!r}: expected a number, got {value!r:.60}")
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
    return answer(prepare(raw))


def answer(x):
    """The predictions for prepared rows."""
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
def read(path, file):
    """The raw rows of a text file in blocks, {column: values}, and the line of each."""
    inputs = list(dict.fromkeys(name for name, *_ in COLUMNS))
    for names, columns, lines in row_blocks(path, file, $delimiter, $header, inputs):
$unnamed        yield dict(zip(names, columns)), lines
''')
UNNAMED = """        if len(names) == len(inputs) and any(name not in names for name in inputs):  # no targets either
            names = inputs
"""
READ_ARRAY = Template('''
def read(path, file):
    """The raw rows of an .npy file, or of a text file $columns, and their lines."""
    if path is not None and path.endswith(".npy"):
        yield np.load(path, allow_pickle=False), None
        return
    delimiter = "\\t" if path is not None and path.endswith(".tsv") else ","
    order, empty = None, True
    for names, columns, lines in row_blocks(path, file, delimiter, False, $needed):
        if order is None:
            first = [column[0] for column in columns]
            order = range(len(names))
            if $header:  # the first row has the names
                names, columns, lines = first, [column[1:] for column in columns], lines[1:]
                twice = [name for i, name in enumerate(names) if name in names[:i]]
                if twice:
                    raise ValueError(f"two columns are called {twice[0]!r}; rename one")
                order = $order
            elif names[:1] != ["column_0"]:  # those of JSON objects
                order = $order
            known = names
            if len(order) != $count:
                raise ValueError(f"expected $count columns of inputs, got {len(order)}")
        try:
            values = [numbers(columns[i], known[i]) for i in order]
        except BadValue as error:
            raise ValueError(f"line {lines[error.row]}: {error.message}") from None
        if lines:
            empty = False
            yield np.array(values).T.reshape(-1, *SHAPE), lines
    if empty:
        raise ValueError("has no rows below its header")


def numbers(values, name):
    """A column of finite numbers, $gaps."""
    texts = isinstance(values, TextColumn) or set(map(type, values)) == {str}
    quick = numbers_of(values, $missing) if texts else None
    return [$cell for row, value in enumerate(values)] if quick is None else quick
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
def answers(p):
    """The columns of predictions: their names, those of labels, and those of numbers, all as texts."""
$table


def prepared(path, file):
    """The network's inputs for the rows of a file, in blocks."""
$begin    for raw, lines in read(path, file):
        try:
            yield prepare(raw$more)
        except BadValue as error:
            place = f"line {lines[error.row]}" if lines else f"row {error.row}"
$warned            raise ValueError(f"{place}: {error.message}") from None
$end

def predictions(path, file, as_json):
    """The predictions for the rows of a file as texts: those of a pipe, whose path is None, as they come."""
    blocks = prepared(path, file)
    for i, x in enumerate(blocks if path is None else in_batches(blocks, CHUNK)):
        names, labels, numbers = answers(answer(x))
        if as_json:
            names = names[len(labels) :]
            yield json_text(names, labels, numbers, "$form", "$what", $texts)
        else:
            yield csv_text([] if i else names, labels + numbers)


def write(texts, path):
    """Write texts to a file, which replaces another once all are written; to a pipe or a device as they come."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(path if path.exists() and not path.is_file() else beside, "w", encoding="utf-8", newline="") as out:
            out.writelines(texts)
        if beside.exists():
            os.replace(beside, path)
    except OSError as error:
        error.filename = str(path) if error.filename == str(beside) else error.filename
        raise
    finally:
        beside.unlink(missing_ok=True)


def main():
    """Predict for the raw rows of a file."""
    parser = argparse.ArgumentParser(description="Predict for raw rows with a trained network; the output is CSV.")
    parser.add_argument(
        "rows", help="$help, or JSON lines; - for a pipe"
    )
    parser.add_argument("--out", help="the file to write (default: print the predictions)")
    parser.add_argument("--json", action="store_true", help="write JSON lines instead of CSV")
    options = parser.parse_args()
    path = None if options.rows == "-" else options.rows
    try:
        with sys.stdin.buffer if path is None else open(path, "rb") as file:
            texts = predictions(path, file, options.json)
            if options.out:
                write(texts, Path(options.out))
            else:
                sys.stdout.reconfigure(encoding="utf-8", newline="")
                for text in texts:
                    sys.stdout.write(text)
                    sys.stdout.flush()
    except UnicodeDecodeError:
        return f"{options.rows}: is not UTF-8 text"
    except (ValueError, csv.Error) as error:
        return f"{options.rows}: {error}"
    except OSError as error:
        return f"{error.filename or options.out}: {error.strerror}"
    return 0
''')
