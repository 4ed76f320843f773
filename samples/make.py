"""Make the sample PDFs: `python samples/make.py`. Alder Falls and everything about it was invented for this project."""

from __future__ import annotations

from pathlib import Path

from reportlab.lib.enums import TA_JUSTIFY
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

TITLE = ParagraphStyle("title", fontName="Times-Bold", fontSize=22, leading=27, spaceAfter=12)
HEADING = ParagraphStyle("heading", fontName="Times-Bold", fontSize=13, leading=17, spaceBefore=10, spaceAfter=5)
BODY = ParagraphStyle("body", fontName="Times-Roman", fontSize=11, leading=15, spaceAfter=7, alignment=TA_JUSTIFY)

Pages = tuple[str, ...]
"""The texts of the pages. Paragraphs are separated by an empty line; `# ` begins a title, `## ` a heading."""

HANDBOOK: Pages = (
    """
# Alder Falls Hydro Station: Operations Handbook

This handbook is for the people who keep Alder Falls running: the operators in the control room, the mechanics
on the gantry and whoever is on call at three in the morning. It says what to do, in what order, and why the
order matters.

## The station at a glance

Water leaves the Alder reservoir through a trash rack, passes the intake gate and drops 212 metres through a
steel penstock 640 metres long. At the bottom it drives two Francis turbines of 9.4 megawatts each, and returns
to the river by a short tailrace below the old stone bridge.

The penstock is 1.9 metres wide inside and was welded in place in 1968. Eleven anchor blocks and fifty-two
saddles hold it to the hillside. Two expansion joints, above blocks four and nine, let it grow and shrink with
the seasons by as much as 38 millimetres.

## Who decides

The shift operator may stop a unit at any time and needs nobody's permission. Starting a unit after a trip needs
the agreement of the duty engineer. Opening the bottom outlet needs the agreement of the river authority as
well, since people fish from the gravel bar downstream.

## Reading the panel

Green means open and flowing, red means closed and safe, amber means that a machine is waiting for a person. A
lamp that blinks has changed since somebody last pressed the button below it. If a lamp and a gauge disagree,
believe the gauge, and if two gauges disagree, walk down and look at the pipe. The telephone numbers of the duty
engineer, the river authority and the village are painted on the wall above the panel.
""",
    """
## 1. Starting a unit

Read the whole list before the first step. A start that is broken off half-way does more harm than one that was
never begun.

First, check that the reservoir stands above 318.5 metres. Below that level the intake draws air, and a vortex
forms in front of the trash rack. Second, confirm on the panel that both guide vane servomotors have oil at 60
bar. Third, open the bypass valve and let the pressure on both sides of the main inlet valve become equal. This
takes about nine minutes; a shorter time means that the valve leaks, a longer time that the bypass strainer is
dirty.

Only then open the main inlet valve, and open the guide vanes to the starting position of twelve per cent. The
unit reaches its speed of 600 revolutions a minute in some fifty seconds. Synchronise by the automatic device;
use the lamps only if the device has failed and the duty engineer is present.

## After the start

Stay with the unit for a quarter of an hour. Listen at the draft tube door: a rumble like gravel is cavitation,
and it ends when the load is raised above thirty-five per cent. Write the bearing temperatures into the log at
five, ten and fifteen minutes.

## If a start fails

A unit that has not reached its speed after ninety seconds is stopped, and the cause is found before anyone
tries again. The commonest is a guide vane held by driftwood: the ring then stops short of twelve per cent and a
shear pin breaks, as it should. Replace the pin with one from the turbine hall. After two failed starts in one
shift, leave the unit alone until the mechanics have opened the inspection hatch.
""",
    """
## 2. Filling and emptying the penstock

An empty penstock is filled slowly, by the 200-millimetre filling line and never by the intake gate. Filling
takes six hours. All that time the air valves at the upper bend must be seen to breathe out. If an air valve
falls silent before the pipe is full, stop: trapped air will be compressed, and may lift a saddle when it
escapes.

Walk the line twice during filling, once when the water stands at anchor block six and once when it stands at
the upper bend. Look for weeping at the expansion joints. A joint that weeps more than a cup a minute is
tightened by a quarter of a turn at each bolt, crosswise.

## Emptying

Close the intake gate first and make sure that it has seated: the gauge at the valve house must begin to fall
within two minutes. Then open the drain into the tailrace. The vacuum breaker at the upper bend must open; a
penstock that is emptied with its vacuum breaker stuck can be crushed flat by the weight of the air, as happened
at more than one station with the same kind of pipe.

Nobody enters the penstock before the gas meter has been lowered through both manholes and the rescue team has
signed the sheet.

## Frost

Below minus eight degrees a penstock that stands still begins to freeze from the saddles inwards. Keep at least
one unit turning at five per cent through the night, or let the filling line run to waste. Ice that comes loose
in a pipe sounds like a train, and what it strikes at the bottom is the inlet valve. The upper air valves have
heating tapes; feel them with a bare hand on every walk.
""",
    """
## 3. When the alarm sounds

Overspeed. If a unit runs above 690 revolutions a minute, the governor closes the guide vanes and the main inlet
valve follows. If neither moves, pull the red handle beside the valve: it drops a counterweight of three tonnes
that closes the valve without oil or electricity in forty seconds. Stand clear of the arm.

Loss of the grid. The units go to speed without load and wait. If the line is not back in ten minutes, stop one
unit and let the other supply the station. The emergency diesel starts by itself, but its fuel lasts for eleven
hours only.

Burst pipe. A sudden rise of flow with falling pressure closes the intake gate automatically. Do not open it
again to see whether the alarm was true. Telephone the village of Low Alder first, then the duty engineer: the
siren at the school is worked from the control room with the blue key.

## High water

When the inflow rises above 40 cubic metres a second, both spillway gates are opened by ten centimetres every
fifteen minutes, turn by turn, so that the river below does not rise by more than half a metre an hour. The
gauge at the stone bridge shows whether you are too fast.

## Afterwards

When it is over, write down what happened while you still remember the order of things: the time by the control
room clock, what you saw, what you did, and what you would rather have done. Nobody has ever been blamed at
Alder Falls for a stop that turned out to be unnecessary. Reset the siren, tell the school, and have something
hot to drink before the next shift comes up the hill.
""",
    """
## 4. The year's maintenance

January: change the oil of the governor, and send a sample to the laboratory before and after.

April: clean the trash rack by the rake from end to end once the snow has melted, as most of the year's
driftwood comes with the melt. Weigh what is taken out; it goes to the biomass plant in Thornby.

June: grease the guide vane bearings. Each of the twenty bearings takes four strokes of the gun and not more,
because grease that is pressed past the seal ends in the river.

September: the outage. Both units are stopped for ten days, the penstock is emptied and walked from the inside,
the thickness of its wall is measured by ultrasound at eighty-four marked places, and the runner blades are
looked at for pitting. Anything deeper than three millimetres is welded.

November: test the counterweight of each main inlet valve with no load on the unit, and the siren with a
telephone call to the school beforehand.

## Spare parts

A spare set of shear pins hangs in the turbine hall. The nearest spare runner is at the maker's in Linz and
takes fourteen weeks, so look after the two that we have.

## The log

The log is kept by hand, in ink, in the green book on the desk. The computer keeps its own, but it does not know
that the rack sounded odd or that a heron stood in the tailrace all morning. Books that are full go to the shelf
in the cable cellar, where those of the first winter can still be read. Whoever finds an entry there that
explains something of today copies it to the front of the current book.
""",
)

INSPECTION: Pages = (
    """
# Penstock Inspection Report, Alder Falls

Inspected in the September outage by M. Okafor, welding engineer, and T. Lindqvist, corrosion technician. The
pipe was entered by the lower manhole on the second day, after ventilation for sixteen hours.

## Summary

The penstock is sound and may run for another six years, if three findings are mended within the next twelve
months: a crack at saddle 31, thin wall below the upper bend, and a worn seal in the expansion joint above
anchor block nine. None of them asks for a lower pressure until then.

## What was done

The wall was measured by ultrasound at all eighty-four places, and at forty more where the coating had
blistered. All circumferential welds between anchor blocks three and seven were examined with magnetic
particles. The coating was tested with a spark tester at 3 kilovolts. Saddles and anchor blocks were looked at
from the outside, and the survey pins on the blocks were levelled against the rock marks of 1968.

Weather was dry and the rock warm, so that the ultrasonic gauge had to be calibrated three times a day on the
step block of the same steel. Readings were taken by one of us and written down by the other without being told
the earlier value, lest the eye find what it expects. Places are numbered from the lower manhole uphill; clock
positions are given looking downstream, with twelve at the crown. Photographs of every finding are kept with the
drawings in the station's archive, under the year of the outage.
""",
    """
## Findings

Wall thickness. The design asks for 14 millimetres at the bottom and 9 at the top. The least that was found is
7.2 millimetres, on the invert four metres below the upper bend, where sand that the intake lets through wears
the steel. The loss since the last inspection is 0.3 millimetres, or 0.06 a year. At that pace the limit of 6.5
millimetres is reached in eleven years; a wear plate of stainless steel would end the matter.

Saddle 31. A fatigue crack 110 millimetres long runs along the toe of the fillet weld between the saddle plate
and the shell. It does not go through. It was ground to a depth of two millimetres and found to end there. The
bearing below it has rusted fast, so that the pipe can no longer slide: this is the cause, and welding alone
would not last.

Expansion joint at block nine. The seal has hardened and weeps half a cup a minute at full pressure.

Coating. Coal tar enamel of 1968, holding well in the lower third. In the upper third blisters cover about two
per cent of the surface. No blister that was opened showed rust deeper than one millimetre.

Manholes and air valves. The gasket of the upper manhole was replaced as a matter of course. Both air valves
opened at less than 0.1 bar and closed without hammering; the float of the eastern one is scratched, which does
no harm. The vacuum breaker opened at 0.05 bar below the air outside, three times out of three.
""",
    """
## Recommendations

First, free the bearing of saddle 31, fit a sliding plate of bronze and graphite, then repair the weld with
preheating to 120 degrees. Cost: 18,000 euros, to be done before the winter.

Second, line the invert below the upper bend with a wear plate over a length of six metres at the next outage.
Cost: 41,000 euros. A finer sand trap at the intake was considered; it would cost five times as much and lose
0.8 metres of head.

Third, replace the seal of the expansion joint by one of nitrile rubber. Two days of work, 6,500 euros.

## Settlement

Anchor block seven has moved downhill by four millimetres since 1968, of which one in the last five years. This
is within what the design allows. The drains behind the block were found blocked by roots and have been cleared;
they should be looked at every spring.

## Next inspection

In five years, or at once after an earthquake that is felt in the valley or a trip at full load with the guide
vanes closing in less than six seconds.

## Cost in all

The three repairs come to 65,500 euros, of which the first should not wait for the budget of next year. Nothing
found here touches the licence. We thank the crew of the station, who ventilated, lit and guarded the pipe for
nine days, and who hauled us out by rope when the ladder at the upper bend proved to be shorter than the drawing
says. The drawing has been corrected, and a longer ladder ordered.
""",
)

SURGE: Pages = (
    """
# Water Hammer at Alder Falls: A Short Study

When the guide vanes close, 1,800 tonnes of water in the penstock must be brought to rest. The kinetic energy
becomes pressure, and the pressure runs up and down the pipe as a wave. This note asks how fast the vanes may
close.

## The wave

A pressure wave in this pipe travels at 1,120 metres a second: slower than in open water, because the steel
stretches. It needs 1.14 seconds to run up to the reservoir and back. If the vanes close within that time, the
full pressure of Joukowsky appears: for a velocity of 4.1 metres a second it is 468 metres of water, more than
twice the static head, and the pipe would burst.

## Slow closure

With a closure that lasts much longer than the wave's return, the rise of pressure falls almost in proportion.
In eight seconds it is 57 metres, or 27 per cent of the head; in six seconds it is 79 metres, or 37 per cent.
The pipe was designed for 40 per cent. The governor is therefore set to eight seconds, and its oil line has an
orifice plate that makes six seconds the least that is possible even if the governor fails.

## What was assumed

The computation follows the method of characteristics on a grid of sixty-four cells, with the friction of the
old coating and no air in the water. The valley's bedrock is taken as rigid and the saddles as free to slide.
The turbine is described by the maker's hill chart of 1967, read off by hand at forty points. Doubling the
number of cells moves the highest pressure by less than one metre, so the grid is fine enough.
""",
    """
## Measurements

Three load rejections were recorded with a pressure transducer at the valve house, at 1,000 samples a second.
From quarter load the peak was 18 metres above static, from half load 36, and from full load 55, against 57 that
had been computed. The wave's period was 2.31 seconds, so the computed speed of the wave is right within two per
cent.

## Would a surge tank help?

A surge tank at the upper bend would shorten the column of water that has to be stopped and allow closure in
four seconds, which would hold the overspeed to 28 per cent instead of 41. It would cost about 900,000 euros and
stand on ground that moves. We do not recommend it: the generators were tested at 60 per cent overspeed.

A pressure relief valve beside the turbine, which opens as the vanes close, gives most of the gain for a tenth
of the price. It wastes some water at each rejection, about four times a year.

## Conclusion

Keep the closing time at eight seconds, check the orifice plate at every outage, and ask for a quotation for a
relief valve when the governor is renewed.

All three rejections were made on a Sunday morning with the agreement of the grid's control centre. Two people
stood at the anchor blocks with dial gauges: block four moved by 0.2 millimetres at full load and came back.
Nobody on the gantry felt more than a nudge, though the sound, a long low note that rises and dies away within
half a minute, is not easily forgotten.
""",
)

DOCUMENTS = {
    "operations-handbook.pdf": ("Alder Falls operations handbook", HANDBOOK),
    "inspection-report.pdf": ("Alder Falls penstock inspection", INSPECTION),
    "water-hammer-study.pdf": ("Water hammer at Alder Falls", SURGE),
}


def main() -> None:
    for name, (title, pages) in DOCUMENTS.items():
        make(Path(__file__).parent / name, title, pages)


def make(path: Path, title: str, pages: Pages) -> None:
    """Make a PDF. Its bytes are the same each time, so that a sample that is made again is no new generation."""

    def number(canvas: Canvas, _: SimpleDocTemplate) -> None:
        canvas.setFont("Times-Roman", 9)
        canvas.drawCentredString(A4[0] / 2, 15 * mm, f"{title}, page {canvas.getPageNumber()}")

    story: list[Paragraph | PageBreak] = []
    for page in pages:
        story += [_paragraph(" ".join(text.split())) for text in page.split("\n\n")]
        story.append(PageBreak())
    document = SimpleDocTemplate(str(path), pagesize=A4, title=title, margins=25 * mm, invariant=1, pageCompression=1)
    document.build(story, onFirstPage=number, onLaterPages=number)


def _paragraph(text: str) -> Paragraph:
    for mark, style in (("# ", TITLE), ("## ", HEADING)):
        if text.startswith(mark):
            return Paragraph(text.removeprefix(mark), style)
    return Paragraph(text, BODY)


if __name__ == "__main__":
    main()
