"""Differences that are not regiond's: DataFusion 53.0.0 fails by a fault of its own. Each class is known by the error's text, never by an expression,
and has a line in docs/compatibility.md. An error of regiond's is never explained.
"""
import re

# class: what DataFusion says. The first that matches counts.
CLASSES = {
    'internal error or panic': r'Internal error|bug in DataFusion|panic|Option::unwrap|assertion|SanityCheckPlan|is declared as non-nullable|'
                               r'range (start|end) index \d+ out of range for slice|index out of bounds',
    'not implemented': r'This feature is not implemented',
    # find_in_set(text, NULL) and its like give a NULL of text where the plan says a number; what fails is the next function, or the result.
    'a value of another type than planned': r'column types must match schema types|Unsupported data type Utf8View for function|'
                                            r'Data type Utf8View not supported for binary operation|'
                                            r'Invalid comparison operation: (\w+ [<>=!]+ Utf8|Utf8\w* )',
    'a separator alone, left by its optimizer': r'concat_ws was called with 1 arguments',
}


def of_failure(failure):
    """The class of DataFusion's failure, None when it may be right to fail."""
    for name, pattern in CLASSES.items():
        if re.search(pattern, str(failure)):
            return name
    return None
