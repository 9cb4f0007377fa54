"""The twin's sensors: each says what it was last set to. Set from any thread."""


class TwinSensors:
    """`temperature`: of the processor, in thousandths of a degree Celsius; None: the board has no such sensor."""

    def __init__(self) -> None:
        self.temperature: int | None = 45_000

    def temperature_mc(self) -> int | None:
        return self.temperature
