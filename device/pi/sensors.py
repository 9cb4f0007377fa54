"""What a Raspberry Pi measures of itself."""


class PiSensors:
    def temperature_mc(self) -> int | None:
        return None
