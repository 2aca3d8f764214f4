"""What every process needs, whatever it does: locks with an end, texts that do no harm, a parent it dies with."""
