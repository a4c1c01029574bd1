"""tap.py: results as the Test Anything Protocol, which the suite's driver reads."""
import os

LINE_MAX = 400


class Tap:
    def __init__(self):
        self.n, self.failed = 0, False

    def ok(self, fine, what, *notes):
        """`notes` are said where it is not fine."""
        self.n += 1
        self.failed |= not fine
        if not fine:
            for line in "\n".join(str(n) for n in notes).splitlines():
                print("#", line[:LINE_MAX])
        print("%sok %d - %s" % ("" if fine else "not ", self.n, what), flush=True)

    def none(self, what, wrong):
        """Fine where nothing is wrong."""
        self.ok(not wrong, what, *wrong)

    def skip(self, what, why):
        self.n += 1
        print("ok %d - %s # SKIP %s" % (self.n, what, why), flush=True)

    def done(self):
        """Ends the plan; the program's exit status, which the driver does not want to hear of failures twice."""
        print("1..%d" % self.n)
        return self.failed and "HARNESS_ACTIVE" not in os.environ
