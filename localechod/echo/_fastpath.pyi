# The compiled part has the interface of portable/, where it is documented.
from localechod.echo.portable.datagrams import answer_datagrams as answer_datagrams
from localechod.echo.portable.flow import Flow as Flow
from localechod.echo.portable.poller import Poller as Poller
from localechod.echo.portable.proof import Proof as Proof
from localechod.echo.portable.totals import Totals as Totals
